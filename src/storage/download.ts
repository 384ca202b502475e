import { request, type Dispatcher } from 'undici';
import { reason } from './reason.js';
import { ResultError } from './store.js';

// A link that has expired, or was never ours: only a fresh one from the status endpoint can work.
const GONE = new Set([401, 403, 404, 410]);
// Result hosts redirect to their edge once; three leave room and end every loop.
const MAX_REDIRECTS = 3;
// A host that sends no headers, or no further byte, for 20 s is tried again; below the 30 s heartbeat timeout.
const SILENCE_MS = 20_000;

/**
 * Opens a result link: HTTPS only, unless the host is trusted. Sends no credentials.
 * @throws ResultError
 */
export async function openResult(
  link: string,
  trustedHosts: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  let url = new URL(link);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    if (url.protocol !== 'https:' && !trustedHosts.has(url.host)) {
      throw new ResultError(
        `The result link to ${url.host} is not HTTPS. If this host is yours, add it to RIVYA_TRUSTED_RESULT_HOSTS.`,
        { retryable: false },
      );
    }
    const response = await send(url, signal);
    const { statusCode, headers } = response;
    if (statusCode === 200) return response;
    await response.body.dump();
    const { location } = headers;
    if (statusCode < 300 || statusCode >= 400 || typeof location !== 'string') {
      throw new ResultError(`${url.host} answered ${statusCode} for a result link.`, {
        httpStatus: statusCode,
        retryable: !GONE.has(statusCode),
      });
    }
    url = new URL(location, url);
  }
  throw new ResultError(`${url.host} redirects a result link more than ${MAX_REDIRECTS} times.`, { retryable: true });
}

async function send(url: URL, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
  try {
    return await request(url, {
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      // Media is compressed already, and Content-Length must count the bytes that arrive.
      headers: { 'accept-encoding': 'identity' },
      ...(signal && { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw new ResultError(`${url.host} cannot be reached for a result link (${reason(error)}).`, { retryable: true });
  }
}
