import { setTimeout as sleep } from 'node:timers/promises';
import { request, type Dispatcher } from 'undici';
import { refusedByAddress, type MediaHosts } from './media-hosts.js';
import { withoutQuery } from './sidecar.js';
import { reason, ResultError } from './store.js';

// A link that has expired, or was never ours: only a fresh one from the status endpoint can work.
const GONE = new Set([401, 403, 404, 410]);
// Result hosts redirect to their edge once; three leave room and end every loop.
const MAX_REDIRECTS = 3;
// A host that sends no headers, or no further byte, for 20 s is tried again; below the 30 s heartbeat timeout.
const SILENCE_MS = 20_000;
// A host that breaks off more often does not deliver; each time less is left to fetch.
const MAX_RESUMES = 5;
// A host that has just broken off wants a moment.
const RESUME_AFTER_MS = 1_000;

export interface DownloadOptions {
  /** Largest body that is taken. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each address before it is asked, redirects included, without its query; what it throws is thrown. */
  readonly judge?: ((address: string) => Promise<void>) | undefined;
}

/** Where to go on in a body that broke off. */
interface Rest {
  readonly from: number;
  readonly validator: string;
}

/**
 * The bytes behind a result link, once, in order and whole; after a break the rest is asked for where the host can tell
 * that it is the same file. Sends no credentials.
 * @throws ResultError
 */
export async function* download(
  link: string,
  hosts: MediaHosts,
  { maxBytes, signal, judge }: DownloadOptions,
): AsyncGenerator<Uint8Array, void> {
  let response = await openLink(link, hosts, null, { signal, judge });
  const total = length(response);
  const validator = validatorOf(response);
  let bytes = 0;
  for (let resumes = 0; ; resumes++) {
    let broken: string | null = null;
    try {
      refuseAbove(maxBytes, total);
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        refuseAbove(maxBytes, bytes);
        yield chunk;
      }
      if (total !== null && bytes < total) broken = 'it ended early';
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ResultError) throw error;
      broken = reason(error);
    } finally {
      response.body.destroy();
    }
    if (broken === null) break;
    if (validator === null || bytes === 0 || resumes === MAX_RESUMES) {
      throw new ResultError(
        `A result broke off after ${bytes} of ${total ?? 'an unknown number of'} bytes (${broken}).`,
        { retryable: true },
      );
    }
    await sleep(RESUME_AFTER_MS, undefined, { ...(signal && { signal }) });
    response = await openLink(link, hosts, { from: bytes, validator }, { signal, judge });
  }
  if (bytes === 0 || (total !== null && bytes !== total)) {
    throw new ResultError(`A result arrived with ${bytes} of ${total ?? 'some'} bytes.`, { retryable: true });
  }
}

async function openLink(
  link: string,
  hosts: MediaHosts,
  rest: Rest | null,
  { signal, judge }: Pick<DownloadOptions, 'signal' | 'judge'>,
): Promise<Dispatcher.ResponseData> {
  let url = new URL(link);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    await judge?.(withoutQuery(url.href));
    const response = await send(url, hosts, rest, signal);
    const { statusCode, headers } = response;
    if (statusCode === (rest === null ? 200 : 206) && continues(headers, rest)) return response;
    // What such a reply says is not read: a host may let it drip for hours.
    response.body.on('error', () => undefined).destroy();
    if (rest !== null && (statusCode === 200 || statusCode === 206 || statusCode === 416)) {
      throw new ResultError(`${url.host} does not give the rest of a result that broke off.`, { retryable: true });
    }
    const { location } = headers;
    if (statusCode < 300 || statusCode >= 400 || typeof location !== 'string' || !URL.canParse(location, url.href)) {
      throw new ResultError(`${url.host} answered ${statusCode} for a result link.`, {
        httpStatus: statusCode,
        retryable: !GONE.has(statusCode),
      });
    }
    url = new URL(location, url);
  }
  throw new ResultError(`${url.host} redirects a result link more than ${MAX_REDIRECTS} times.`, { retryable: true });
}

async function send(
  url: URL,
  hosts: MediaHosts,
  rest: Rest | null,
  signal: AbortSignal | undefined,
): Promise<Dispatcher.ResponseData> {
  const dispatcher = await hosts.for(url);
  try {
    return await request(url, {
      dispatcher,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      headers: {
        // Media is compressed already, and Content-Length must count the bytes that arrive.
        'accept-encoding': 'identity',
        ...(rest !== null && { range: `bytes=${rest.from}-`, 'if-range': rest.validator }),
      },
      ...(signal && { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    const refused = refusedByAddress(error, url.host);
    if (refused !== null) throw refused;
    throw new ResultError(`${url.host} cannot be reached for a result link (${reason(error)}).`, { retryable: true });
  }
}

/** True where a reply begins at the byte that is wanted, and is of the same file as far as it says. */
function continues(headers: Dispatcher.ResponseData['headers'], rest: Rest | null): boolean {
  if (rest === null) return true;
  // A host may know Range and not If-Range: then a part of another file comes as 206 too.
  const now = headers[rest.validator.startsWith('"') ? 'etag' : 'last-modified'];
  const same = now === undefined || now === rest.validator;
  return same && (headers['content-range']?.toString().startsWith(`bytes ${rest.from}-`) ?? false);
}

/** By what a host can tell that a file is still the same: a strong ETag, or its time. */
function validatorOf({ headers }: Dispatcher.ResponseData): string | null {
  const { etag, 'last-modified': modified } = headers;
  if (typeof etag === 'string' && etag.startsWith('"')) return etag;
  return typeof modified === 'string' ? modified : null;
}

function length({ headers }: Dispatcher.ResponseData): number | null {
  const text = headers['content-length']?.toString() ?? '';
  return /^\d+$/.test(text) ? Number(text) : null;
}

function refuseAbove(maxBytes: number, bytes: number | null): void {
  if (bytes === null || bytes <= maxBytes) return;
  throw new ResultError(
    `A result is larger than ${maxBytes} bytes, which is all that RIVYA_MAX_RESULT_BYTES allows. Raise it, then resume.`,
    { retryable: false },
  );
}
