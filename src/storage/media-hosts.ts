/** Which hosts results are fetched from: public ones over HTTPS, and those that the operator trusts. */
import { lookup as lookUp, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { promisify } from 'node:util';
import ipaddr from 'ipaddr.js';
import { Agent, type Dispatcher } from 'undici';
import { openProxied, proxyOf } from '../http/proxy.js';
import { ResultError } from './store.js';

// Three lost SYN packets are made up for after 7 s. A host that needs longer is not there.
const CONNECT_MS = 10_000;
const NOT_PUBLIC = 'RIVYA_NOT_PUBLIC';
const HOW_TO_ALLOW = 'If this host is yours, add it to RIVYA_TRUSTED_RESULT_HOSTS.';

export interface MediaHostsOptions {
  /** `host[:port]`, as in a URL: may be private or plain HTTP, and is always reached directly. */
  readonly trustedHosts: ReadonlySet<string>;
  /** Where HTTPS_PROXY and NO_PROXY are read from. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: that of the system. For tests. */
  readonly lookup?: typeof lookUp;
}

/** The connections to hosts of results. */
export class MediaHosts {
  readonly #trustedHosts: ReadonlySet<string>;
  readonly #lookup: typeof lookUp;
  readonly #trusted: Dispatcher;
  readonly #others: Dispatcher;
  readonly #proxied: boolean;

  /** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
  constructor({ trustedHosts, env = process.env, lookup = lookUp }: MediaHostsOptions) {
    this.#trustedHosts = trustedHosts;
    this.#lookup = lookup;
    const connect = { timeout: CONNECT_MS };
    this.#trusted = new Agent({ connect });
    // What a name resolves to is judged for the very connection, so no later answer of the DNS can change it.
    const guarded = { ...connect, lookup: publicOnly(lookup) };
    const proxy = proxyOf(env);
    this.#proxied = proxy !== null;
    this.#others = proxy === null ? new Agent({ connect: guarded }) : openProxied(proxy, guarded, { pipelining: 1 });
  }

  /** The connections for a link. @throws ResultError for a host that results are not fetched from. */
  async for({ protocol, host, hostname, port }: URL): Promise<Dispatcher> {
    // A URL leaves out the port of its scheme; who lists the host may have written it.
    const spelled = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
    if (this.#trustedHosts.has(host) || this.#trustedHosts.has(spelled)) return this.#trusted;
    if (protocol !== 'https:') throw refused(`The result link to ${host} is not HTTPS. ${HOW_TO_ALLOW}`);
    // No connection asks the DNS about an address.
    const address = hostname.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0 && !isPublic(address)) throw notPublic(host);
    // A proxy looks names up by itself. What this machine knows to be private is not asked for; what it does not know,
    // the proxy has to judge.
    if (this.#proxied && isIP(address) === 0) {
      const known = await promisify(this.#lookup)(address, { all: true }).catch(() => []);
      if (!known.every((entry) => isPublic(entry.address))) throw notPublic(host);
    }
    return this.#others;
  }

  async close(): Promise<void> {
    await Promise.all([this.#trusted.destroy(), this.#others.destroy()]);
  }
}

// All of IPv6 that has ever been given out. The rest holds old spellings of IPv4 (`::7f00:1` is 127.0.0.1), and what a
// network may use for itself.
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/** True for an address of the public internet: no private, local, shared, reserved, multicast or translated one. */
export function isPublic(address: string): boolean {
  if (isIP(address) === 0) return false;
  const parsed = ipaddr.parse(address);
  return parsed.range() === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(GLOBAL_IPV6));
}

/** What a failed connection to a host means, where its addresses were the reason. */
export function refusedByAddress(error: unknown, host: string): ResultError | null {
  return (error as { code?: unknown } | null)?.code === NOT_PUBLIC ? notPublic(host) : null;
}

/** A DNS look-up that keeps public addresses only, so that a connection is made to no other. */
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
  return refused(`The result link to ${host} leads to an address that is not public. ${HOW_TO_ALLOW}`);
}

function refused(message: string): ResultError {
  return new ResultError(message, { retryable: false });
}
