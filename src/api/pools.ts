/** Two pools of connections to the API. They send no request twice, and the key over HTTPS, or to this machine, only. */
import type { ConnectionOptions } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import { isLoopback, proxyOf } from '../http/address.js';
import { openProxied } from '../http/proxy.js';

/**
 * Opens the pools for one base URL. HTTPS_PROXY and NO_PROXY are read from `env`; this machine is never proxied.
 * @param tls - For tests, which trust a certificate of their own.
 * @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL.
 */
export function openPools(
  { hostname }: URL,
  connectMs: number,
  env: NodeJS.ProcessEnv,
  tls: Pick<ConnectionOptions, 'ca' | 'checkServerIdentity'> = {},
) {
  const proxy = isLoopback(hostname) ? null : proxyOf(env);
  // HTTP/2 stays off: a GOAWAY makes undici send requests again.
  const connect = { timeout: connectMs, allowH2: false, ...tls };
  const openPool = (pipelining: 0 | 1): Dispatcher =>
    proxy === null ? new Agent({ connect, pipelining, allowH2: false }) : openProxied(proxy, connect, pipelining);
  return {
    // Keeps connections, with one request at a time on each: undici would send those behind a broken one again.
    get: openPool(1),
    // Opens a connection for each request. A server may close a kept one at the moment when it is used again, and then
    // nobody can say whether the task was made. A handshake for each paid call is cheaper than that doubt.
    post: openPool(0),
  };
}
