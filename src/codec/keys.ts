/** Keys that encrypt payloads: read from a setting, and never printed. */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';

const KEY_BYTES = 32;
// Shorter than a key in Base64, so that a key in the place of its ID is refused, and not repeated in a message.
const KEY_ID = /^[\w.-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const MAKE_ONE = 'Make one with: openssl rand -base64 32';

/** A key of AES-256 and its ID. The ID stands in the clear at each payload. */
export interface EncryptionKey {
  readonly id: string;
  readonly key: KeyObject;
  /** 12 hex digits that differ for two keys and do not reveal them. */
  readonly fingerprint: string;
}

/** At least one key. The first one encrypts, each decrypts. */
export type EncryptionKeys = readonly [EncryptionKey, ...EncryptionKey[]];

/**
 * Keys as a person writes them: `<id>:<32 bytes in Base64>`, separated by commas or line breaks. IDs have at most 32
 * characters of `A-Z a-z 0-9 . _ -`.
 * @throws Error that names each wrong key by its place, and repeats none.
 */
export function parseEncryptionKeys(text: string): EncryptionKeys {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  const problems: string[] = [];
  const keys: EncryptionKey[] = [];
  entries.forEach((entry, index) => {
    const read = readKey(entry, `key ${index + 1}`);
    if (typeof read === 'string') problems.push(read);
    else if (keys.some(({ id }) => id === read.id)) problems.push(`the key ID "${read.id}" stands there twice`);
    else keys.push(read);
  });
  if (problems.length > 0) throw new Error([...new Set(problems)].join('; '));
  const [first, ...others] = keys;
  if (first === undefined) throw new Error(`names no key. Write <id>:<key in Base64>. ${MAKE_ONE}`);
  return [first, ...others];
}

/** The key, or what is wrong with it. */
function readKey(entry: string, name: string): EncryptionKey | string {
  const at = entry.indexOf(':');
  const id = entry.slice(0, Math.max(at, 0));
  if (id === '') return `${name} has no ID: write <id>:<key in Base64>`;
  if (!KEY_ID.test(id)) return `${name}: its ID must be at most 32 characters of A-Z a-z 0-9 . _ -`;
  const base64 = entry.slice(at + 1);
  if (!BASE64.test(base64)) return `${name} ("${id}") is no Base64. ${MAKE_ONE}`;
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== KEY_BYTES) {
    return `${name} ("${id}") has ${bytes.length} bytes, and AES-256 needs ${KEY_BYTES}. ${MAKE_ONE}`;
  }
  const fingerprint = createHash('sha256').update('rivya-temporal/encryption-key/v1\n').update(bytes).digest('hex');
  return { id, key: createSecretKey(bytes), fingerprint: fingerprint.slice(0, 12) };
}
