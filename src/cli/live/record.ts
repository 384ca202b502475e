import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors.js';
import { isKept, keptValue } from './headers.js';
import type { NamedExchange } from './wire.js';

/** The first balance in a record. Balances are shifted by the same number, so only differences are told. */
const FIRST_BALANCE = 100;
/** Names of fields that may say whose account it is. */
const ABOUT_PEOPLE = /account|user|owner|customer|organi[sz]ation|team|email|secret|token|cookie|authorization/i;

/** Redacted traffic, for `test/api/recorded.test.ts` and for whoever wants to know how the API answers. */
export interface Recording {
  readonly format: 'rivya-temporal/recording/v1';
  readonly simulated: boolean;
  readonly exchanges: readonly RecordedExchange[];
}

export interface RecordedExchange {
  readonly step: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly idempotencyKey: string | null;
  readonly requestBody: unknown;
  /** Null where no reply came. */
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Names of the headers that are left out. */
  readonly otherHeaders: readonly string[];
  /** The JSON of the reply; null where it was no JSON, which then is not kept. */
  readonly body: unknown;
  readonly ms: number;
}

/** @throws UsageError where the file exists or its directory cannot be written: before anything is paid for it. */
export function checkRecordFile(file: string): void {
  if (existsSync(file)) throw new UsageError(`--record: ${file} exists. Nothing was sent; choose another name.`);
  try {
    accessSync(path.dirname(path.resolve(file)), constants.W_OK);
  } catch {
    throw new UsageError(`--record: the directory of ${file} cannot be written. Nothing was sent.`);
  }
}

/** Writes the traffic; only the owner can read the file. */
export function writeRecording(file: string, exchanges: readonly NamedExchange[]): void {
  writeFileSync(file, `${JSON.stringify(record(exchanges), null, 2)}\n`, { flag: 'wx', mode: 0o600 });
}

/** Takes out what a fixture does not need: keys, cookies, signatures of links, names, absolute balances. */
export function record(exchanges: readonly NamedExchange[]): Recording {
  let shift: number | null = null;
  const redact = (value: unknown, name: string): unknown => {
    if (value === null) return null;
    if (ABOUT_PEOPLE.test(name)) return '[redacted]';
    if (Array.isArray(value)) return value.map((item) => redact(item, name));
    if (typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([field, item]) => [field, redact(item, field)]));
    }
    if (name === 'current_credits' && typeof value === 'number') return value + (shift ??= FIRST_BALANCE - value);
    return typeof value === 'string' ? withoutSecrets(value) : value;
  };
  return {
    format: 'rivya-temporal/recording/v1',
    simulated: exchanges.some(({ headers }) => 'x-rivya-simulated' in headers),
    exchanges: exchanges.map((exchange) => {
      const names = Object.keys(exchange.headers);
      const kept = names.filter(isKept);
      return {
        step: exchange.step,
        method: exchange.method,
        path: exchange.path,
        idempotencyKey: exchange.idempotencyKey,
        requestBody: redact(parse(exchange.requestBody), ''),
        status: exchange.httpStatus,
        headers: Object.fromEntries(kept.map((name) => [name, keptValue(name, exchange.headers[name] ?? '')])),
        otherHeaders: names.filter((name) => !isKept(name)).toSorted(),
        body: redact(parse(exchange.body), ''),
        ms: exchange.durationMs,
      };
    }),
  };
}

/** Queries and credentials of links may let anybody in; an address of a person says whose account it is. */
function withoutSecrets(text: string): string {
  const links = text.replaceAll(/https?:\/\/[^\s"<>]+/g, (link) => {
    if (!URL.canParse(link)) return '[redacted]';
    const url = new URL(link);
    if (url.search + url.hash + url.username + url.password === '') return link;
    return `${url.origin}${url.pathname}?redacted`;
  });
  return links.replaceAll(/[^\s@"<>/]+@[^\s@"<>/]+\.\w+/g, '[redacted]');
}

function parse(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
