/** The data converter that encrypts: for Workers, clients and commands by the settings, and for programs of users. */
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { DataConverter } from '@temporalio/common';
import { encryptionOf, SettingsError } from '../config.js';
import { dist } from '../dist.js';
import { EncryptionCodec } from './codec.js';
import type { EncryptionKeys } from './keys.js';

/** Of the module that the SDK loads for failures. */
export const failureConverterPath = path.join(dist, 'src', 'codec', 'failure-converter.js');

/**
 * Encrypts payloads, and with them messages and stack traces of failures. Without keys it encrypts nothing, and names the key
 * of what is encrypted.
 */
export function converterOf(keys: EncryptionKeys | null): DataConverter {
  return { payloadCodecs: [new EncryptionCodec(keys ?? [])], ...(keys !== null && { failureConverterPath }) };
}

/**
 * The converter of Workers by the settings and by who runs them.
 * @throws SettingsError for a converter that does not encrypt with the keys of the settings: it would write in the clear.
 */
export function converterFor(keys: EncryptionKeys | null, given: DataConverter | undefined): DataConverter {
  if (given === undefined) return converterOf(keys);
  if (keys === null) return given;
  const ours = new EncryptionCodec(keys).keys;
  if (given.payloadCodecs?.some((codec) => 'keys' in codec && isDeepStrictEqual(codec.keys, ours))) return given;
  throw new SettingsError(
    'RIVYA_ENCRYPTION_KEYS: the dataConverter of your Worker does not encrypt with these keys. Give it the converter of encryptedDataConverter() from "rivya-temporal", or a converter with its payloadCodecs, or unset the keys. Nothing was started.',
  );
}

/**
 * The data converter by `RIVYA_ENCRYPTION_KEYS` or `RIVYA_ENCRYPTION_KEYS_FILE`, for Workers and clients of your own: all that
 * share Workflows need it.
 * @throws SettingsError where neither is set, or a key is wrong.
 */
export function encryptedDataConverter(env: NodeJS.ProcessEnv = process.env): DataConverter {
  const keys = encryptionOf(env);
  if (keys !== null) return converterOf(keys);
  throw new SettingsError('RIVYA_ENCRYPTION_KEYS: is not set, so there is no key to encrypt with.');
}
