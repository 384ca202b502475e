import type { ConnectionOptions } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import { openProxied, proxyOf } from '../http/proxy.js';
import { isLoopback } from './address.js';

/** Whom to trust, where the system's own list is not enough. */
type TlsTrust = Pick<ConnectionOptions, 'ca' | 'checkServerIdentity'>;

/** Connection pools: one that keeps connections for reading, one that opens a new connection for every POST. */
export interface Pools {
  readonly get: Dispatcher;
  readonly post: Dispatcher;
}

/**
 * Opens the pools for one base URL. HTTPS_PROXY and NO_PROXY are read from `env`; this machine is never proxied.
 * `tls` is for tests, which trust a certificate of their own.
 * @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL.
 */
export function openPools(baseUrl: URL, connectMs: number, env: NodeJS.ProcessEnv, tls: TlsTrust = {}): Pools {
  return {
    // One request at a time on a connection: undici would send those behind a broken one again.
    get: openPool(baseUrl, connectMs, env, tls, 1),
    // A server may close a kept connection just when it is used again, and then nobody knows whether the task was
    // made. A handshake for each paid call is cheaper than that doubt.
    post: openPool(baseUrl, connectMs, env, tls, 0),
  };
}

function openPool(baseUrl: URL, timeout: number, env: NodeJS.ProcessEnv, tls: TlsTrust, pipelining: 0 | 1): Dispatcher {
  // HTTP/2 stays off: a GOAWAY makes undici send requests again.
  const connect = { timeout, allowH2: false, ...tls };
  const proxy = isLoopback(baseUrl.hostname) ? null : proxyOf(env);
  if (proxy === null) return new Agent({ connect, pipelining, allowH2: false });
  return openProxied(proxy, connect, { pipelining });
}
