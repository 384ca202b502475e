import { parseHttpDate, type Exchange } from '../../api/index.js';

/** What the headers of an account's replies tell. */
export interface HeadersSeen {
  readonly names: readonly string[];
  /** The header that carries the request ID, or null. */
  readonly requestId: string | null;
  /** Headers about the rate limit, with their last values. */
  readonly rateLimit: Readonly<Record<string, string>>;
}

const REQUEST_ID = /(?:^|-)(?:request|correlation|trace)-?id$/;
const RATE_LIMIT = /rate-?limit|^retry-after$/;
/** Numbers, alone or named (`1;w=60`), and times: nothing that could name an account. */
const NUMBERS = /^(?:[\d.,;\s]|\b[a-z]{1,9}=(?=\d))+$/i;

export function readHeaders(exchanges: readonly Exchange[]): HeadersSeen {
  const names = new Set(exchanges.flatMap(({ headers }) => Object.keys(headers)));
  const rateLimit: Record<string, string> = {};
  for (const { headers } of exchanges) {
    for (const [name, value] of Object.entries(headers)) if (RATE_LIMIT.test(name)) rateLimit[name] = harmless(value);
  }
  return { names: [...names].toSorted(), requestId: requestIdHeader(exchanges, [...names]), rateLimit };
}

/** True for a header that a record keeps. */
export function isKept(name: string): boolean {
  return (
    ['date', 'content-type', 'x-rivya-simulated'].includes(name) ||
    name.startsWith('idempoten') ||
    REQUEST_ID.test(name) ||
    RATE_LIMIT.test(name)
  );
}

/** The value of a kept header without what could name an account. */
export function keptValue(name: string, value: string): string {
  return RATE_LIMIT.test(name) ? harmless(value) : value;
}

function harmless(value: string): string {
  return NUMBERS.test(value) || parseHttpDate(value) !== null || /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)
    ? value
    : '[redacted]';
}

/** By the ID that error bodies carry too; where there is none to compare with, by the usual names. */
function requestIdHeader(exchanges: readonly Exchange[], names: readonly string[]): string | null {
  for (const { headers, body } of exchanges) {
    const id = /"requestId":\s*"([^"]+)"/.exec(body ?? '')?.[1];
    const same = Object.entries(headers).find(([, value]) => value === id);
    if (same !== undefined) return same[0];
  }
  return names.find((name) => REQUEST_ID.test(name)) ?? null;
}

/**
 * By how much the API's clock is ahead of this machine's, in milliseconds; null where no reply has a `Date`. It has whole
 * seconds and was written between sending and receiving, so each reply bounds the offset, and 0 is said where all allow it.
 */
export function clockOffset(exchanges: readonly Exchange[]): number | null {
  let [low, high] = [-Infinity, Infinity];
  for (const { headers, sentAt, durationMs } of exchanges) {
    const date = parseHttpDate(headers['date'] ?? null);
    if (date === null) continue;
    low = Math.max(low, date - sentAt - durationMs);
    high = Math.min(high, date + 1_000 - sentAt);
  }
  if (!Number.isFinite(low)) return null;
  return low <= 0 && high >= 0 ? 0 : Math.round((low + high) / 2_000) * 1_000;
}
