import { readFile } from 'node:fs/promises';
import { InvalidApiKey, RivyaApiError } from './errors.js';
import { Secret } from './secret.js';

/** Where the API key comes from. */
export interface KeySource {
  /** The key to use now, or null where there is none. */
  current(): Promise<Secret | null>;
  /** Looks for a newer key at once; the client calls it after a 401. */
  refresh(): Promise<Secret | null>;
}

/** A rotated key is in use within a minute, and a busy Worker does not read the file for every call. */
const REREAD_AFTER_MS = 60_000;

/**
 * A key that never changes. Surrounding white space is dropped; an empty value means no key.
 * @throws InvalidApiKey where a header cannot carry the key.
 */
export function staticKey(value: string): KeySource {
  const key = parseKey(value, 'the settings');
  return { current: () => Promise.resolve(key), refresh: () => Promise.resolve(key) };
}

/**
 * A key in a file, read again when the last reading is a minute old and after a 401. A file that is missing, empty or
 * unreadable at a later reading leaves the last key in place, because whoever replaces the file may be half-way.
 * `now` is a monotonic clock in milliseconds.
 *
 * `current` and `refresh` reject with InvalidApiKey where a header cannot carry the key, and with a RivyaApiError
 * (`api_key_missing`) where the file exists and the first reading fails.
 */
export function keyFile(path: string, { now = () => performance.now() } = {}): KeySource {
  let last: Secret | null = null;
  let readAt = 0;

  async function read(): Promise<Secret | null> {
    const startedAt = now();
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      if (last !== null || reason === 'ENOENT') return '';
      throw new RivyaApiError(
        `The API key file ${path} cannot be read (${reason}). No request was sent and nothing was paid.`,
        { outcome: 'refused', code: 'api_key_missing' },
      );
    });
    last = parseKey(text, `the file ${path}`) ?? last;
    readAt = startedAt;
    return last;
  }

  return {
    current: async () => (last === null || now() - readAt >= REREAD_AFTER_MS ? read() : last),
    refresh: read,
  };
}

function parseKey(text: string, source: string): Secret | null {
  const value = text.trim();
  if (value === '') return null;
  if (!/^[\x21-\x7e]+$/.test(value)) throw new InvalidApiKey(source);
  return new Secret(value);
}
