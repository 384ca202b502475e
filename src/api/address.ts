import { InvalidAddress } from './errors.js';

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
    throw new InvalidAddress(
      'The base URL must be HTTPS, because the API key travels on it. HTTP is for loopback only.',
    );
  }
  return url;
}
