/**
 * The download of a result link: the bytes once, in order, whole and decoded. After a break the rest is requested, where the
 * host can say that the file is still the same. It asks only hosts that `MediaHosts` allows and sends no credentials.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { request, type Dispatcher } from 'undici';
import { DEAD_LINK } from '../contract/index.js';
import { codingsOf, decoded, isCoded } from './codings.js';
import { refusedByAddress, type MediaHosts } from './media-hosts.js';
import { withoutQuery } from './sidecar.js';
import { reasonOf, ResultError } from './store.js';

// Result hosts redirect to their edge once; three leave room and end every loop.
const MAX_REDIRECTS = 3;
// Without headers, or a further byte, for 20 s a request has failed; below the heartbeat timeout of 30 s.
const SILENCE_MS = 20_000;
// A host that breaks off more often does not deliver; each time less is left to fetch.
const MAX_RESUMES = 5;
const RESUME_AFTER_MS = 1_000;

export interface DownloadOptions {
  /** Largest body, as it is sent and without its codings. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each address, without its query, before it is requested, redirects included; its errors pass through. */
  readonly judge?: ((address: string) => Promise<void>) | undefined;
}

/** The missing part of a body that broke off. */
interface Rest {
  readonly from: number;
  /** Strong ETag or modification time, by which the host says that the file is still the same. */
  readonly validator: string;
}

type Source = Pick<DownloadOptions, 'signal' | 'judge'> & { readonly hosts: MediaHosts };

export interface Download {
  /** The media type that the host names, with its parameters; null where it names none. */
  readonly contentType: string | null;
  /** The bytes without their codings. A caller that does not read them to their end must close this. */
  readonly body: AsyncGenerator<Uint8Array, void>;
}

/** Opens a link. The body is to be read at once. @throws ResultError, also while the body is read. */
export async function download(
  link: string,
  hosts: MediaHosts,
  { maxBytes, ...options }: DownloadOptions,
): Promise<Download> {
  const source = { hosts, ...options };
  let response = await openLink(link, source, null);
  const { headers } = response;
  const codings = codingsOrDiscard(response, new URL(link).host);
  const total = lengthOf(response);
  // The rest of a coded body cannot be decoded on its own.
  const validator = codings.length > 0 ? null : validatorOf(response);

  /** The bytes as they come from the host. */
  async function* sent(): AsyncGenerator<Uint8Array, void> {
    let bytes = 0;
    for (let resumes = 0; ; resumes++) {
      let broken: string;
      try {
        refuseAbove(maxBytes, total ?? 0);
        for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
          bytes += chunk.length;
          refuseAbove(maxBytes, bytes);
          yield chunk;
        }
        if (total === null || bytes >= total) break;
        broken = 'it ended early';
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof ResultError) throw error;
        broken = reasonOf(error);
      } finally {
        discard(response);
      }
      if (validator === null || bytes === 0 || resumes === MAX_RESUMES) {
        const of = total ?? 'an unknown number of';
        throw new ResultError(`A result broke off after ${bytes} of ${of} bytes (${broken}).`, { retryable: true });
      }
      await sleep(RESUME_AFTER_MS, undefined, { ...(options.signal && { signal: options.signal }) });
      response = await openLink(link, source, { from: bytes, validator });
    }
    if (total !== null && bytes !== total) {
      throw new ResultError(`A result arrived with ${bytes} of ${total} bytes.`, { retryable: true });
    }
  }

  async function* body(): AsyncGenerator<Uint8Array, void> {
    let bytes = 0;
    try {
      for await (const chunk of decoded(sent(), codings)) {
        bytes += chunk.length;
        refuseAbove(maxBytes, bytes);
        yield chunk;
      }
    } finally {
      // A decoder reads ahead: without this, the next chunk would be waited for.
      discard(response);
    }
    if (bytes === 0) throw new ResultError('A result arrived with 0 bytes.', { retryable: true });
  }

  return { contentType: headers['content-type']?.toString() ?? null, body: body() };
}

function codingsOrDiscard(response: Dispatcher.ResponseData, host: string): readonly string[] {
  try {
    return codingsOf(response.headers['content-encoding'], host);
  } catch (error) {
    discard(response);
    throw error;
  }
}

/** Ends a reply whose body is not read further: a host may let it drip for hours. */
function discard({ body }: Dispatcher.ResponseData): void {
  body.on('error', () => undefined).destroy();
}

/** Requests a link, or the rest behind it, and follows redirects. */
async function openLink(link: string, source: Source, rest: Rest | null): Promise<Dispatcher.ResponseData> {
  let url = new URL(link);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    await source.judge?.(withoutQuery(url.href));
    const response = await requestLink(url, source, rest);
    const { statusCode, headers } = response;
    if (statusCode === (rest === null ? 200 : 206) && continues(headers, rest)) return response;
    discard(response);
    if (rest !== null && [200, 206, 416].includes(statusCode)) {
      throw new ResultError(`${url.host} does not give the rest of a result that broke off.`, { retryable: true });
    }
    const { location } = headers;
    const redirected = statusCode >= 300 && statusCode < 400 && typeof location === 'string';
    if (!redirected || !URL.canParse(location, url.href)) {
      const message = `${url.host} answered ${statusCode} for a result link.`;
      throw new ResultError(message, { httpStatus: statusCode, retryable: !DEAD_LINK.has(statusCode) });
    }
    url = new URL(location, url);
  }
  throw new ResultError(`${url.host} redirects a result link more than ${MAX_REDIRECTS} times.`, { retryable: true });
}

async function requestLink(url: URL, { hosts, signal }: Source, rest: Rest | null): Promise<Dispatcher.ResponseData> {
  const dispatcher = await hosts.for(url);
  try {
    return await request(url, {
      dispatcher,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      headers: {
        // Media is compressed already. Some stores send a file with the coding with which it went up all the same.
        'accept-encoding': 'identity',
        ...(rest !== null && { range: `bytes=${rest.from}-`, 'if-range': rest.validator }),
      },
      ...(signal && { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    const refused = refusedByAddress(error, url.host);
    if (refused !== null) throw refused;
    const message = `${url.host} cannot be reached for a result link (${reasonOf(error)}).`;
    throw new ResultError(message, { retryable: true });
  }
}

/** True where a reply begins at the wanted byte and does not name another version of the file. */
function continues(headers: Dispatcher.ResponseData['headers'], rest: Rest | null): boolean {
  if (rest === null) return true;
  // A host may know Range and not If-Range: then a part of another file comes as 206 too.
  const now = headers[rest.validator.startsWith('"') ? 'etag' : 'last-modified'];
  const same = (now === undefined || now === rest.validator) && !isCoded(headers['content-encoding']);
  return same && (headers['content-range']?.toString().startsWith(`bytes ${rest.from}-`) ?? false);
}

function validatorOf({ headers }: Dispatcher.ResponseData): string | null {
  const { etag, 'last-modified': modified } = headers;
  if (typeof etag === 'string' && etag.startsWith('"')) return etag;
  return typeof modified === 'string' ? modified : null;
}

function lengthOf({ headers }: Dispatcher.ResponseData): number | null {
  const text = headers['content-length']?.toString() ?? '';
  return /^\d+$/.test(text) ? Number(text) : null;
}

function refuseAbove(maxBytes: number, bytes: number): void {
  if (bytes <= maxBytes) return;
  const message = `A result is larger than ${maxBytes} bytes, which is all that RIVYA_MAX_RESULT_BYTES allows. Raise it, then resume.`;
  throw new ResultError(message, { retryable: false });
}
