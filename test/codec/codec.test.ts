/** Encrypted payloads: what is written can be read by whoever has the key, and by nobody else. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { ApplicationFailure, defaultPayloadConverter, type Payload } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { describe, expect, test } from 'vitest';
import { EncryptionCodec } from '../../src/codec/codec.js';
import { converterFor, converterOf, encryptedDataConverter } from '../../src/codec/converter.js';
import { EncryptionKeyError, failureConverter } from '../../src/codec/failure-converter.js';
import { parseEncryptionKeys } from '../../src/codec/keys.js';
import { encryptionOf, readSettings, SettingsError } from '../../src/config.js';

const newKey = (): string => randomBytes(32).toString('base64');
const [one, two] = [newKey(), newKey()];
const codecOf = (keys: string): EncryptionCodec => new EncryptionCodec(parseEncryptionKeys(keys));
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const textOf = ({ metadata, data }: Payload): string =>
  inspect([metadata, data].map((part) => JSON.stringify(part))) + Buffer.from(data ?? []).toString('latin1');

describe('payloads', () => {
  test.each([['a red fox'], [{ prompt: 'ä 狐', n: 1.5 }], [undefined], [null], [new Uint8Array([0, 255])], ['']])(
    '%j comes back, and cannot be seen',
    async (value) => {
      const codec = codecOf(`k1:${one}`);
      const encoded = await codec.encode([payloadOf(value), payloadOf('a red fox')]);
      expect(encoded.map(textOf).join()).not.toMatch(/red fox|prompt|json\/plain|binary\/null/);
      const decoded = await codec.decode(encoded);
      expect(decoded.map((payload) => defaultPayloadConverter.fromPayload(payload))).toEqual([value, 'a red fox']);
    },
  );

  test('the same payload never looks the same twice', async () => {
    const [a, b] = await codecOf(`k1:${one}`).encode([payloadOf('fox'), payloadOf('fox')]);
    expect(Buffer.from(a!.data!).equals(Buffer.from(b!.data!))).toBe(false);
  });

  test('what is not encrypted, or comes without keys, is passed on as it is', async () => {
    expect(await codecOf(`k1:${one}`).decode([payloadOf('fox')])).toEqual([payloadOf('fox')]);
    expect(await new EncryptionCodec([]).encode([payloadOf('fox')])).toEqual([payloadOf('fox')]);
  });

  test("the codec of Temporal's own samples, with the same key, writes what is read here", async () => {
    const { Payload: Wire } = temporal.api.common.v1;
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', Buffer.from(one, 'base64'), iv);
    const sealed = Buffer.concat([cipher.update(Wire.encode(payloadOf('fox')).finish()), cipher.final()]);
    const metadata = { encoding: Buffer.from('binary/encrypted'), 'encryption-key-id': Buffer.from('k1') };
    const theirs = { metadata, data: Buffer.concat([iv, sealed, cipher.getAuthTag()]) };
    const [decoded] = await codecOf(`k1:${one}`).decode([theirs]);
    expect(defaultPayloadConverter.fromPayload(decoded!)).toBe('fox');
  });

  test('the first key encrypts, and after a change of keys the old one still decrypts', async () => {
    const before = await codecOf(`k1:${one}`).encode([payloadOf('old')]);
    const rotated = codecOf(`k2:${two}\nk1:${one}`);
    const after = await rotated.encode([payloadOf('new')]);
    expect(Buffer.from(after[0]!.metadata!['encryption-key-id']!).toString()).toBe('k2');
    const decoded = await rotated.decode([...before, ...after]);
    expect(decoded.map((payload) => defaultPayloadConverter.fromPayload(payload))).toEqual(['old', 'new']);
  });

  test.each([
    ['that is gone', `k2:${two}`, '"k1", which is not there (the keys here: "k2")'],
    ['where there is none', '', '"k1", which is not there (the keys here: none)'],
    ['that is another one under this ID', `k1:${two}`, 'another key of this ID'],
  ])('a key %s is named by its ID', async (_, keys, says) => {
    const encoded = await codecOf(`k1:${one}`).encode([payloadOf('fox')]);
    const decoding = (keys === '' ? new EncryptionCodec([]) : codecOf(keys)).decode(encoded);
    await expect(decoding).rejects.toThrow(EncryptionKeyError);
    await expect(decoding).rejects.toThrow(says);
  });

  test.each([0, 5, 12, 30, -1])('a payload that was changed at byte %i, or cut, is refused', async (at) => {
    const codec = codecOf(`k1:${one}`);
    const [encoded] = await codec.encode([payloadOf('a red fox in the snow')]);
    const data = Buffer.from(encoded!.data!);
    data[at < 0 ? data.length + at : at]! ^= 1;
    await expect(codec.decode([{ ...encoded, data }])).rejects.toThrow('was changed');
    const cut = Buffer.from(encoded!.data!).subarray(0, Math.max(at, 0));
    await expect(codec.decode([{ ...encoded, data: cut }])).rejects.toThrow('was changed');
  });
});

describe('failures', () => {
  test('message and stack trace are a payload, also those of the cause', () => {
    const cause = new Error('the prompt was: fox');
    const failure = ApplicationFailure.create({ message: 'about a fox', type: 'GenerationFailed', cause });
    const encoded = failureConverter.errorToFailure(failure, defaultPayloadConverter);
    expect(inspect([encoded.message, encoded.stackTrace, encoded.cause?.message])).not.toContain('fox');
    const decoded = failureConverter.failureToError(encoded, defaultPayloadConverter);
    expect(decoded).toMatchObject({
      message: 'about a fox',
      type: 'GenerationFailed',
      cause: { message: cause.message },
    });
  });

  test('a key that is gone is named in the clear: nobody could decrypt its name', () => {
    for (const error of [new EncryptionKeyError('k1'), ApplicationFailure.fromError(new EncryptionKeyError('k1'))]) {
      expect(failureConverter.errorToFailure(error, defaultPayloadConverter).message).toBe('k1');
    }
  });
});

describe('a wrong key is a named error, and is never repeated', () => {
  const short = randomBytes(16).toString('base64');
  test.each([
    ['of the wrong length', `k1:${short}`, 'key 1 ("k1") has 16 bytes, and AES-256 needs 32'],
    ['of the wrong length, behind a good one', `k1:${one},k2:${short}`, 'key 2 ("k2") has 16 bytes'],
    ['of an ID that stands there twice', `k1:${one},k1:${two}`, 'the key ID "k1" stands there twice'],
    ['that is no Base64', `k1:${'*'.repeat(44)}`, 'key 1 ("k1") is no Base64'],
    ['without an ID', one, 'key 1 has no ID'],
    ['behind an empty ID', `:${one}`, 'key 1 has no ID'],
    ['in the place of its ID', `${one}:k1`, 'key 1: its ID must be'],
    ['in the place of its ID, without padding', `${one.slice(0, -1)}:k1`, 'key 1: its ID must be'],
    ['that is missing', 'k1:', 'key 1 ("k1") is no Base64'],
    ['among none', ' , ', 'names no key'],
  ])('%s', (_, value, says) => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'keys');
    writeFileSync(file, value);
    for (const env of [{ RIVYA_ENCRYPTION_KEYS: value }, { RIVYA_ENCRYPTION_KEYS_FILE: file }]) {
      for (const read of [readSettings, encryptionOf]) {
        const [name] = Object.keys(env);
        expect(() => read(env)).toThrow(SettingsError);
        expect(() => read(env)).toThrow(new RegExp(`^${name}: `));
        expect(() => read(env)).toThrow(says);
        expect(() => read(env)).not.toThrow(
          new RegExp(`${one.slice(0, 20)}|${short.slice(0, 20)}`.replaceAll('+', '\\+')),
        );
      }
    }
  });

  test('a file that is missing, keys in the place of its name, and both settings at once', () => {
    expect(() => encryptionOf({ RIVYA_ENCRYPTION_KEYS_FILE: '/does/not/exist' })).toThrow('/does/not/exist');
    const keys = `k1:${one}`;
    expect(() => encryptionOf({ RIVYA_ENCRYPTION_KEYS_FILE: keys })).toThrow('which belong into RIVYA_ENCRYPTION_KEYS');
    expect(() => encryptionOf({ RIVYA_ENCRYPTION_KEYS_FILE: keys })).not.toThrow(one.slice(0, 20));
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'keys');
    writeFileSync(file, `${keys}\n`);
    expect(encryptionOf({ RIVYA_ENCRYPTION_KEYS_FILE: file })).toMatchObject([{ id: 'k1' }]);
    expect(() => encryptionOf({ RIVYA_ENCRYPTION_KEYS: keys, RIVYA_ENCRYPTION_KEYS_FILE: file })).toThrow(
      'only one of',
    );
  });

  test('settings and converter show no key', () => {
    const env = { RIVYA_ENCRYPTION_KEYS: `k1:${one}` };
    const shown = [readSettings(env), encryptedDataConverter(env)].map(
      (it) => inspect(it, { depth: 9, showHidden: true }) + JSON.stringify(it),
    );
    expect(shown.join()).not.toContain(one.slice(0, 20));
    expect(shown.join()).not.toContain(Buffer.from(one, 'base64').toString('hex').slice(0, 20));
    expect(() => encryptedDataConverter({})).toThrow('RIVYA_ENCRYPTION_KEYS: is not set');
  });
});

test('a Worker whose own converter would write in the clear does not start', () => {
  const keys = parseEncryptionKeys(`k1:${one}`);
  const ours = converterOf(keys);
  expect(converterFor(keys, undefined)).toEqual(ours);
  expect(converterFor(keys, ours)).toBe(ours);
  expect(converterFor(null, {})).toEqual({});
  const others = [{}, { payloadCodecs: [] }, converterOf(parseEncryptionKeys(`k1:${two}`)), converterOf(null)];
  for (const other of others)
    expect(() => converterFor(keys, other)).toThrow(/^RIVYA_ENCRYPTION_KEYS: the dataConverter/);
});
