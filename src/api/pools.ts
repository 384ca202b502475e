import type { ConnectionOptions } from 'node:tls';
import { Agent, EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici';
import { isLoopback } from './address.js';
import { InvalidAddress } from './errors.js';

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
 *
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
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (httpsProxy === '' || isLoopback(baseUrl.hostname)) return new Agent({ connect, pipelining, allowH2: false });
  if (!URL.canParse(httpsProxy) || !/^https?:$/.test(new URL(httpsProxy).protocol)) {
    throw new InvalidAddress('HTTPS_PROXY is not the URL of an HTTP proxy. Write it like http://proxy.example:3128.');
  }
  return new EnvHttpProxyAgent({
    httpsProxy,
    // Empty, not left out: undici would look into the environment by itself. Plain HTTP goes to this machine only.
    httpProxy: '',
    noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '',
    connect,
    requestTls: connect,
    proxyTls: { timeout },
    pipelining,
    allowH2: false,
    clientFactory: (origin, options) => openProxyPool(origin, options, timeout),
  });
}

/** Connections to the proxy. When one breaks during CONNECT, undici would dial again at once and without end. */
function openProxyPool(origin: URL, options: object, timeout: number): Dispatcher {
  const pool = new Pool(origin, { ...options, headersTimeout: timeout });
  const connect = pool.connect.bind(pool);
  async function tunnel(request: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> {
    const data = await connect(request).catch(() => null);
    if (data?.statusCode === 200) return data;
    data?.socket.on('error', () => {}).destroy();
    throw Object.assign(new Error('no tunnel'), { code: `PROXY_ANSWERED_${data?.statusCode ?? 'NOTHING'}` });
  }
  return Object.assign(pool, { connect: tunnel });
}
