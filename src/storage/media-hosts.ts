/**
 * The connections to hosts of results: public ones over HTTPS, and those that the operator trusts. No other address is ever
 * connected to, whatever a link, a redirect or the DNS says. Downloads of results and of references use them.
 */
import { lookup as lookUp, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { promisify } from 'node:util';
import ipaddr from 'ipaddr.js';
import { Agent, type Dispatcher } from 'undici';
import { proxyOf } from '../http/address.js';
import { openProxied } from '../http/proxy.js';
import { ResultError } from './store.js';

// TCP makes up for three lost SYN packets within 7 s.
const CONNECT_MS = 10_000;
const NOT_PUBLIC = 'RIVYA_NOT_PUBLIC';

export interface MediaHostsOptions {
  /** `host[:port]`, as in a URL: these may be private or plain HTTP, and are never reached through a proxy. */
  readonly trustedHosts: ReadonlySet<string>;
  /** Where HTTPS_PROXY and NO_PROXY are read from. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: that of the system. For tests. */
  readonly lookup?: typeof lookUp;
}

export type MediaHosts = ReturnType<typeof openMediaHosts>;

/** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
export function openMediaHosts({ trustedHosts, env = process.env, lookup = lookUp }: MediaHostsOptions) {
  const connect = { timeout: CONNECT_MS };
  const trusted = new Agent({ connect });
  // The addresses are judged at the connection itself, so no later answer of the DNS can change them.
  const guarded = { ...connect, lookup: publicOnly(lookup) };
  const proxy = proxyOf(env);
  const others = proxy === null ? new Agent({ connect: guarded }) : openProxied(proxy, guarded, 1);

  /** The connections for a link. @throws ResultError for a host that results are not fetched from. */
  async function connectionsFor({ protocol, host, hostname, port }: URL): Promise<Dispatcher> {
    // A URL leaves out the port of its scheme; the operator may have written it.
    const withPort = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
    if (trustedHosts.has(host) || trustedHosts.has(withPort)) return trusted;
    if (protocol !== 'https:') throw hostRefused(host, 'is not HTTPS');
    // An address is connected to without a look-up.
    const address = hostname.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0 && !isPublic(address)) throw notPublic(host);
    // A proxy looks names up by itself. It is not asked for names that are private by the DNS of this machine.
    if (proxy !== null && isIP(address) === 0) {
      const known = await promisify(lookup)(address, { all: true }).catch(() => []);
      if (!known.every((entry) => isPublic(entry.address))) throw notPublic(host);
    }
    return others;
  }

  return { for: connectionsFor, close: async () => void (await Promise.all([trusted.destroy(), others.destroy()])) };
}

// All IPv6 addresses that are given out. The rest holds forms of IPv4 (`::7f00:1` is 127.0.0.1) and private ranges.
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/** True for an address of the public internet: no private, local, shared, reserved, multicast or translated one. */
export function isPublic(address: string): boolean {
  if (isIP(address) === 0) return false;
  const parsed = ipaddr.parse(address);
  return parsed.range() === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(GLOBAL_IPV6));
}

/** The error for a connection that failed because the host has no public address; null for any other failure. */
export function refusedByAddress(error: unknown, host: string): ResultError | null {
  return (error as { code?: unknown } | null)?.code === NOT_PUBLIC ? notPublic(host) : null;
}

/** A DNS look-up that gives a connection public addresses only. */
function publicOnly(lookup: typeof lookUp): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, []);
      const allowed = found.filter(({ address }) => isPublic(address));
      const [first] = allowed;
      if (first === undefined) {
        return callback(Object.assign(new Error(`${hostname} has no public address`), { code: NOT_PUBLIC }), []);
      }
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

function notPublic(host: string): ResultError {
  return hostRefused(host, 'leads to an address that is not public');
}

function hostRefused(host: string, why: string): ResultError {
  const message = `The result link to ${host} ${why}. If this host is yours, add it to RIVYA_TRUSTED_RESULT_HOSTS.`;
  return new ResultError(message, { retryable: false });
}
