import { parseBaseUrl } from '../http/address.js';

/**
 * The API that a batch is for, by the base URL of its Workers: the host, or `emulator`. HTTP goes to this machine only, where
 * the emulator is, at another port each time.
 */
export function batchApi(baseUrl: string): string {
  const { protocol, host } = parseBaseUrl(baseUrl);
  return protocol === 'http:' ? 'emulator' : host;
}
