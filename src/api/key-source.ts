import { readFile } from 'node:fs/promises';
import { RivyaApiError } from './errors.js';
import { Secret } from './secret.js';

/** A source of the API key. */
export interface KeySource {
  /** The key for the next request, or null where there is none. */
  current(): Promise<Secret | null>;
  /** The newest key; the client calls it after a 401. */
  refresh(): Promise<Secret | null>;
}

/** Age after which the file is read again: a busy Worker must not read it for every call. */
const REREAD_AFTER_MS = 60_000;

/**
 * A key that never changes. Surrounding white space is dropped; an empty value means no key.
 * @throws RivyaApiError (`api_key_invalid`) where a header cannot carry the key.
 */
export function staticKey(value: string): KeySource {
  const key = parseKey(value, 'the settings');
  return { current: () => Promise.resolve(key), refresh: () => Promise.resolve(key) };
}

/**
 * A key in a file, read again when the last reading is a minute old and after a 401. A file that is missing, empty or
 * unreadable at a later reading leaves the last key in place: it may be about to be replaced. `current` and `refresh`
 * reject with a RivyaApiError: `api_key_invalid` where a header cannot carry the key, `api_key_missing` where the file exists
 * and cannot be read at first.
 * @param path - Of the file. `now`: a monotonic clock in milliseconds, for tests.
 */
export function keyFile(path: string, { now = () => performance.now() } = {}): KeySource {
  let last: Secret | null = null;
  let readAt = 0;

  async function readKey(): Promise<Secret | null> {
    const startedAt = now();
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      if (last !== null || reason === 'ENOENT') return '';
      throw keyError('api_key_missing', `The API key file ${path} cannot be read (${reason}).`);
    });
    last = parseKey(text, `the file ${path}`) ?? last;
    readAt = startedAt;
    return last;
  }

  return {
    current: async () => (last === null || now() - readAt >= REREAD_AFTER_MS ? readKey() : last),
    refresh: readKey,
  };
}

function parseKey(text: string, source: string): Secret | null {
  const value = text.trim();
  if (value === '') return null;
  if (/^[\x21-\x7e]+$/.test(value)) return new Secret(value);
  const problem = 'has spaces, line breaks or characters outside ASCII, which a header cannot carry.';
  const action = 'Copy the key again from the Rivya settings.';
  throw keyError('api_key_invalid', `The API key from ${source} ${problem} ${action}`);
}

function keyError(code: string, problem: string): RivyaApiError {
  return new RivyaApiError(`${problem} No request was sent and nothing was paid.`, { outcome: 'refused', code });
}
