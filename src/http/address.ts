/** Addresses in the settings: of the API and of the proxy. */

/** A base URL or proxy address that cannot be used. The message does not repeat it. */
export class InvalidAddress extends Error {
  override readonly name = 'InvalidAddress';
}

/** True for `localhost` and the addresses of this machine (127.0.0.0/8 and ::1), as `URL.hostname` writes them. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/**
 * Checks the base URL of the API: HTTPS, or HTTP to this machine; no credentials, query or fragment. A path is kept as
 * a prefix.
 * @throws InvalidAddress, without repeating what may be a password.
 */
export function parseBaseUrl(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null) throw new InvalidAddress('The base URL is not a URL. Write it like https://rivya.ai.');
  if (url.username !== '' || url.password !== '') {
    throw new InvalidAddress('The base URL carries credentials. Take them out; the API key goes into RIVYA_API_KEY.');
  }
  if (/[?#]/.test(value)) throw new InvalidAddress('The base URL has a query or a fragment. Take it out.');
  const plainHttp = url.protocol === 'http:' && isLoopback(url.hostname);
  if (url.protocol !== 'https:' && !plainHttp) {
    const problem = 'The base URL must be HTTPS, because the API key travels on it. HTTP is for loopback only.';
    throw new InvalidAddress(problem);
  }
  return url;
}

export interface Proxy {
  readonly url: string;
  /** `NO_PROXY`: hosts that are reached directly. */
  readonly except: string;
}

/**
 * HTTPS_PROXY and NO_PROXY of `env`, or null where there is no proxy. Plain HTTP never goes through a proxy.
 * @throws InvalidAddress where HTTPS_PROXY is not the URL of an HTTP(S) proxy, without repeating what may be a password.
 */
export function proxyOf(env: NodeJS.ProcessEnv): Proxy | null {
  const url = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (url === '') return null;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new InvalidAddress(
      'HTTPS_PROXY: is not the URL of an HTTP proxy. Write it like http://proxy.example:3128, and special characters of a password like %40 for "@".',
    );
  }
  const { username, password } = new URL(url);
  try {
    decodeURIComponent(username + password);
  } catch {
    throw new InvalidAddress(
      'HTTPS_PROXY: its user name or password has a "%" that begins no code like %40. Write "%25".',
    );
  }
  return { url, except: env['no_proxy'] ?? env['NO_PROXY'] ?? '' };
}
