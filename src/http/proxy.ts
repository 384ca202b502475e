/** Connections through the proxy of the settings: for the API, for result hosts and for the store in S3. */
import { EnvHttpProxyAgent, Pool, type buildConnector, type Dispatcher } from 'undici';
import type { Proxy } from './address.js';

/** Connections through a proxy, and direct ones to the hosts in `except`. `connect` is for the hosts, not for the proxy. */
export function openProxied(proxy: Proxy, connect: buildConnector.BuildOptions, pipelining: 0 | 1): Dispatcher {
  const { timeout } = connect;
  return new EnvHttpProxyAgent({
    httpsProxy: proxy.url,
    // Empty, not left out: undici would read the environment by itself.
    httpProxy: '',
    noProxy: proxy.except,
    connect,
    requestTls: connect,
    proxyTls: { ...(timeout != null && { timeout }) },
    pipelining,
    allowH2: false,
    clientFactory: (origin, options) => openProxyPool(origin, options, timeout),
  });
}

/** Connections to the proxy. Without this, undici dials again at once and without end when one breaks during CONNECT. */
function openProxyPool(origin: URL, options: object, timeout: number | null | undefined): Dispatcher {
  const pool = new Pool(origin, { ...options, ...(timeout != null && { headersTimeout: timeout }) });
  const connect = pool.connect.bind(pool);
  async function tunnel(request: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> {
    const data = await connect(request).catch(() => null);
    if (data?.statusCode === 200) return data;
    data?.socket.on('error', () => {}).destroy();
    throw Object.assign(new Error('no tunnel'), { code: `PROXY_ANSWERED_${data?.statusCode ?? 'NOTHING'}` });
  }
  return Object.assign(pool, { connect: tunnel });
}
