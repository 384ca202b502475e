/**
 * The checks of what reaches the account: its input, the reports of Workers, the requests of people, and the memo of the run
 * before. Anybody who may send a Signal can send anything, so each field is checked.
 */
import { STOPPED, SHARED_CODES } from '../contract/index.js';
import type { AccountCause, AccountInput, AccountRequests, AccountState, WorkerReport } from '../contract/index.js';
import type { CallCounts, ReadInput } from '../contract/index.js';
import { isReportable } from './account-causes.js';
import { InvalidInput, integer, isPlainObject, onlyKnown, record, text } from './fields.js';

export const MOST_PER_MINUTE = 100_000;
/** A sentence or two. It stands in the memo, which each Worker reads again and again. */
const REASON_LENGTH = 500;
const IDENTITY_LENGTH = 256;
const MESSAGE_LENGTH = 1_000;
/** More than one Worker makes in ten minutes. */
const MOST_CALLS = 1e6;
const MOST_REFUSED = SHARED_CODES.length;

/** Checks the input of `rivyaAccount`. @throws InvalidInput */
export function readAccountInput(input: unknown): AccountInput {
  const fields = record(input, 'input');
  onlyKnown(fields, ['taskQueue'], '');
  const taskQueue = text(fields['taskQueue'], 'taskQueue', 255);
  if (taskQueue === null) throw new InvalidInput('taskQueue', 'is missing: the task queue of the Workflows');
  return { taskQueue };
}

/** Checks the input of `rivyaRead`. @throws InvalidInput */
export function readReadInput(input: unknown): ReadInput {
  const fields = record(input, 'input');
  onlyKnown(fields, ['what'], '');
  const { what } = fields;
  if (what !== 'credits' && what !== 'models') throw new InvalidInput('what', 'must be "credits" or "models"');
  return { what };
}

type Requests = { readonly [Name in keyof AccountRequests]: (argument: unknown) => AccountRequests[Name] };

const nothing = (argument: unknown): undefined =>
  void (argument == null || onlyKnown(record(argument, 'input'), [], ''));

/** The arguments of the requests, checked. Null counts as left out. Each throws InvalidInput. */
export const ACCOUNT_REQUESTS: Requests = {
  stopSubmits: (argument) => {
    const fields = argument == null ? {} : record(argument, 'input');
    onlyKnown(fields, ['reason'], '');
    return withReason({}, fields);
  },
  allowSubmits: nothing,
  setRate: (argument) => {
    const fields = record(argument, 'input');
    onlyKnown(fields, ['perMinute', 'reason'], '');
    // Null gives the rate back, so it must be told from a field that is missing.
    const given = (argument as { readonly perMinute?: unknown }).perMinute;
    if (given === undefined) throw new InvalidInput('perMinute', 'is missing; null gives the rate back to the account');
    return withReason({ perMinute: integer(given ?? undefined, 'perMinute', MOST_PER_MINUTE) }, fields);
  },
  release: (argument) => {
    const fields = record(argument, 'input');
    onlyKnown(fields, ['code'], '');
    const code = text(fields['code'], 'code', 100);
    if (code === null) throw new InvalidInput('code', 'is missing: give the code of a cause, as in {"code": "…"}');
    return { code };
  },
  refresh: nothing,
};

function withReason<T extends object>(request: T, fields: Record<string, unknown>): T & { readonly reason?: string } {
  const reason = text(fields['reason'], 'reason', REASON_LENGTH);
  return { ...request, ...(reason !== null && { reason }) };
}

const isText = (value: unknown, most: number): value is string => typeof value === 'string' && value.length <= most;
const isTextOrNull = (value: unknown, most: number): value is string | null => value === null || isText(value, most);
const isNumber = (value: unknown, low: number, high: number): value is number =>
  typeof value === 'number' && value >= low && value <= high;
const isIso = (value: unknown): value is string => isText(value, 40) && Number.isFinite(Date.parse(value));

/** A report, or null where any of its fields is wrong. Wrong counts of calls are left out: they are shown, and decide nothing. */
export function readReport(report: unknown): WorkerReport | null {
  if (!isPlainObject(report)) return null;
  const {
    identity,
    fingerprint,
    perMinute,
    rateLimited = null,
    refused = null,
    calls,
  } = report as Partial<WorkerReport>;
  if (!isText(identity, IDENTITY_LENGTH) || identity === '') return null;
  if (!isTextOrNull(fingerprint, 64) || !isNumber(perMinute, 1, MOST_PER_MINUTE)) return null;
  const limited = rateLimited === null ? null : readRateLimited(rateLimited);
  if (rateLimited !== null && limited === null) return null;
  if (refused !== null && (!Array.isArray(refused) || refused.length > MOST_REFUSED)) return null;
  const causes = (refused ?? []).map(readRefused);
  if (causes.includes(null)) return null;
  const known = causes.filter((one) => one !== null);
  const more = { ...(limited && { rateLimited: limited }), ...(known.length > 0 && { refused: known }) };
  const counts = readCalls(calls);
  return { identity, fingerprint, perMinute, ...more, ...(counts && { calls: counts }) };
}

function readRateLimited(value: unknown): WorkerReport['rateLimited'] | null {
  if (!isPlainObject(value)) return null;
  const { count, retryAfterMs, callsBefore } = value;
  if (!isNumber(count, 1, MOST_CALLS) || !isNumber(callsBefore, 0, MOST_CALLS)) return null;
  if (retryAfterMs !== null && !isNumber(retryAfterMs, 0, Number.MAX_VALUE)) return null;
  return { count: Math.round(count), retryAfterMs, callsBefore };
}

function readCalls(value: unknown): CallCounts | null {
  if (!isPlainObject(value)) return null;
  const { made, failed } = value;
  return isNumber(made, 0, MOST_CALLS) && isNumber(failed, 0, made) ? { made, failed } : null;
}

function readRefused(value: unknown): NonNullable<WorkerReport['refused']>[number] | null {
  if (!isPlainObject(value)) return null;
  const { code, message, requestId } = value;
  if (!isText(code, 100) || !isReportable(code)) return null;
  if (!isText(message, Number.MAX_VALUE) || !isTextOrNull(requestId, 256)) return null;
  return { code, message: message.slice(0, MESSAGE_LENGTH), requestId };
}

/** What an account takes over from the run before it. */
export interface BeforeState extends Pick<AccountState, 'causes' | 'workers' | 'balance'> {
  readonly rate: Pick<AccountState['rate'], 'set' | 'by' | 'closedUntil'>;
}

/** The memo of the run before, or null where it is none of ours. A wrong part of it is left out. */
export function readBefore(memo: unknown): BeforeState | null {
  if (!isPlainObject(memo)) return null;
  const { causes, workers, balance, rate } = memo as Partial<AccountState>;
  const { set, by, closedUntil } = (isPlainObject(rate) ? rate : {}) as Partial<AccountState['rate']>;
  const isBalance = isPlainObject(balance) && isIso(balance['askedAt']) && typeof balance['simulated'] === 'boolean';
  const isOurs = by === 'account' && isNumber(set, 1, MOST_PER_MINUTE);
  return {
    causes: Array.isArray(causes) ? causes.filter(isCause) : [],
    workers: isPlainObject(workers)
      ? Object.fromEntries(Object.entries(workers).filter(([, worker]) => isWorker(worker)))
      : {},
    balance: isBalance && isCreditsOrNull(balance.credits) ? balance : null,
    rate: {
      set: isOurs ? set : null,
      by: isOurs ? 'account' : 'workers',
      closedUntil: isIso(closedUntil) ? closedUntil : null,
    },
  };
}

const isCreditsOrNull = (value: unknown): boolean => value === null || Number.isFinite(value);

function isWorker(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  const { fingerprint, perMinute, reportedAt } = value;
  return isTextOrNull(fingerprint, 64) && isNumber(perMinute, 1, MOST_PER_MINUTE) && isIso(reportedAt);
}

function isCause(value: unknown): value is AccountCause {
  if (!isPlainObject(value)) return false;
  const { code, phase, since, message, requestId, fingerprint, credits, probes } = value;
  const known = isText(code, 100) && (code === STOPPED || isReportable(code));
  const texts = isText(message, MESSAGE_LENGTH) && isTextOrNull(requestId, 256) && isTextOrNull(fingerprint, 64);
  const numbers = isCreditsOrNull(credits) && isNumber(probes, 0, Number.MAX_VALUE);
  return known && (phase === 'open' || phase === 'releasing') && isIso(since) && texts && numbers;
}
