import { EnvHttpProxyAgent, Pool, type buildConnector, type Dispatcher } from 'undici';

/** A base URL or proxy address that cannot be used. The message never repeats the address. */
export class InvalidAddress extends Error {
  override readonly name = 'InvalidAddress';
}

/** The proxy that the environment names for HTTPS. */
export interface Proxy {
  readonly url: string;
  /** `NO_PROXY`: hosts that are reached directly. */
  readonly except: string;
}

/**
 * HTTPS_PROXY and NO_PROXY of `env`, or null where there is no proxy.
 * @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL.
 */
export function proxyOf(env: NodeJS.ProcessEnv): Proxy | null {
  const url = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (url === '') return null;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new InvalidAddress('HTTPS_PROXY is not the URL of an HTTP proxy. Write it like http://proxy.example:3128.');
  }
  return { url, except: env['no_proxy'] ?? env['NO_PROXY'] ?? '' };
}

/** Connections through a proxy, and direct ones to hosts that it leaves out. `connect` applies to what is behind it. */
export function openProxied(
  proxy: Proxy,
  connect: buildConnector.BuildOptions,
  { pipelining }: { readonly pipelining: 0 | 1 },
): Dispatcher {
  const { timeout } = connect;
  return new EnvHttpProxyAgent({
    httpsProxy: proxy.url,
    // Empty, not left out: undici would look into the environment by itself. Plain HTTP never goes to a proxy.
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

/** Connections to the proxy. When one breaks during CONNECT, undici would dial again at once and without end. */
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
