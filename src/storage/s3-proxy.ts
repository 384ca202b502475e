/** Requests of the AWS SDK through the proxy of the settings. The SDK has no setting of its own for one. */
import type { Readable } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { Proxy } from '../http/address.js';
import { openProxied } from '../http/proxy.js';

type RequestHandler = Extract<S3ClientConfig['requestHandler'], { handle: unknown }>;

/** A request as the SDK hands it over: signed, with the host among its headers. */
interface SignedRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | string[] | null>>;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
}

const THIS_MACHINE = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Sends the requests of an S3 client through a proxy, except to the hosts in NO_PROXY and to this machine.
 * @param tls - For tests, which trust a certificate of their own.
 */
export function throughProxy(
  { url, except }: Proxy,
  { connectMs, silenceMs, tls }: { connectMs: number; silenceMs: number; tls?: Pick<ConnectionOptions, 'ca'> },
): RequestHandler {
  const direct = [...except.split(/[,\s]+/), ...THIS_MACHINE].filter(Boolean).join(',');
  const dispatcher = openProxied(
    { url, except: except.trim() === '*' ? '*' : direct },
    { timeout: connectMs, ...tls },
    1,
  );
  const silence = { headersTimeout: silenceMs, bodyTimeout: silenceMs };
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: SignedRequest, { abortSignal }: { readonly abortSignal?: AbortSignal } = {}) {
      const { protocol, hostname, port, path, query, method } = request;
      // undici refuses this header, which only asks for leave to send a large body.
      const headers = Object.entries(request.headers).filter(([name]) => name.toLowerCase() !== 'expect');
      const reply = await dispatcher.request({
        origin: `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`,
        path: path + queryOf(query),
        method,
        headers: Object.fromEntries(headers),
        body: request.body ?? null,
        ...(abortSignal !== undefined && { signal: abortSignal }),
        ...silence,
      });
      const { statusCode, body } = reply;
      const flat = Object.entries(reply.headers).map(([name, value]) => [name, String(value)]);
      return { response: { statusCode, headers: Object.fromEntries(flat) as Record<string, string>, body } };
    },
    destroy: () => void dispatcher.destroy(),
  } as unknown as RequestHandler;
}

/** The query as the SDK has signed it. */
function queryOf(query: SignedRequest['query'] = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const values = typeof value === 'object' && value !== null ? value : [value];
    return values.map((one) => (one === null ? escaped(name) : `${escaped(name)}=${escaped(one)}`));
  });
  return pairs.length === 0 ? '' : `?${pairs.toSorted().join('&')}`;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
