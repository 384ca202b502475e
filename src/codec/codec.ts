/**
 * Payloads encrypted with AES-256-GCM. The format is that of Temporal's own samples in every language: encoding
 * `binary/encrypted`, the key ID in `encryption-key-id`, and as data 12 random bytes, the encrypted payload and its tag.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { EncryptionKeyError } from './failure-converter.js';
import type { EncryptionKey } from './keys.js';

const { Payload: Wire } = proto.temporal.api.common.v1;
const ALGORITHM = 'aes-256-gcm';
const ENCODING = 'binary/encrypted';
const KEY_ID = 'encryption-key-id';
const [IV_BYTES, TAG_BYTES] = [12, 16];
const { utf8, text } = { utf8: new TextEncoder(), text: new TextDecoder() };

/** Encrypts with the first key, if any, and decrypts with each. What is not encrypted is passed on as it is. */
export class EncryptionCodec implements PayloadCodec {
  /** ID and fingerprint of each key: two codecs with the same ones are the same. */
  readonly keys: readonly string[];
  readonly #first: EncryptionKey | undefined;
  readonly #byId: ReadonlyMap<string, EncryptionKey>;

  constructor(keys: readonly EncryptionKey[]) {
    [this.#first] = keys;
    this.#byId = new Map(keys.map((key) => [key.id, key]));
    this.keys = keys.map(({ id, fingerprint }) => `${id} ${fingerprint}`);
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    if (this.#first === undefined) return payloads;
    const { id, key } = this.#first;
    const metadata = { encoding: utf8.encode(ENCODING), [KEY_ID]: utf8.encode(id) };
    return payloads.map((payload) => ({ metadata, data: encrypt(Wire.encode(payload).finish(), key) }));
  }

  /** Rejects with an EncryptionKeyError where a payload cannot be decrypted. */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => this.#decoded(payload));
  }

  #decoded(payload: Payload): Payload {
    const { metadata, data } = payload;
    if (text.decode(metadata?.['encoding'] ?? undefined) !== ENCODING) return payload;
    const id = text.decode(metadata?.[KEY_ID] ?? undefined);
    const key = this.#byId.get(id)?.key;
    if (key === undefined) {
      const known = [...this.#byId.keys()].map((one) => `"${one}"`).join(', ') || 'none';
      throw new EncryptionKeyError(
        `This is encrypted with the key "${id}", which is not there (the keys here: ${known}). Nothing is submitted, paid or lost meanwhile. Add the key to RIVYA_ENCRYPTION_KEYS of each Worker and command, and it goes on.`,
      );
    }
    try {
      const { metadata: inner, data: plain } = Wire.decode(decrypt(data ?? new Uint8Array(), key));
      return { metadata: inner, data: plain };
    } catch {
      throw new EncryptionKeyError(
        `This cannot be decrypted with the key "${id}": it is encrypted with another key of this ID, or was changed. Nothing is submitted, paid or lost meanwhile. Correct the key in RIVYA_ENCRYPTION_KEYS, and it goes on.`,
      );
    }
  }
}

function encrypt(plain: Uint8Array, key: EncryptionKey['key']): Uint8Array {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, iv);
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(data: Uint8Array, key: EncryptionKey['key']): Uint8Array {
  const decipher = createDecipheriv(ALGORITHM, key, data.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(data.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(data.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
}
