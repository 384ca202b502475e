/**
 * The check of the account's memo, the switchboard that all Workers of an API task queue read. It guarantees that each
 * field has its type: anybody who starts a Workflow can write a memo with anything in it. It judges the form, not whether
 * the facts are true.
 */
import type { AccountCause, AccountLook, AccountRate, AccountState, AccountWorker } from '../contract/index.js';
import type { CallCounts } from '../contract/index.js';

type Check = (value: unknown) => boolean;
/** A check for each field of a type. A field that a later version adds must be allowed to be missing here. */
type Fields<T> = Readonly<Record<keyof T, Check>>;

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isNumber: Check = (value) => Number.isFinite(value);
const isTime: Check = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const isOneOf =
  (...words: readonly unknown[]): Check =>
  (value) =>
    words.includes(value);
const orNull =
  (isGood: Check): Check =>
  (value) =>
    value === null || isGood(value);
const areAll =
  (isGood: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(isGood);

const recordOf = (value: unknown): Readonly<Record<string, unknown>> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
/** A table by any names, each value of which is good. */
const isTable =
  (isGood: Check): Check =>
  (value) => {
    const found = recordOf(value);
    return found !== null && Object.values(found).every(isGood);
  };
const hasFields =
  <T>(fields: Fields<T>): Check =>
  (value) => {
    const found = recordOf(value);
    return found !== null && Object.entries<Check>(fields).every(([name, isGood]) => isGood(found[name]));
  };

const isRate = hasFields<AccountRate>({
  configured: orNull(isNumber),
  set: orNull(isNumber),
  by: isOneOf('workers', 'account', 'person'),
  reason: isText,
  closedUntil: orNull(isTime),
  nextStepAt: orNull(isTime),
});
const isCause = hasFields<AccountCause>({
  code: isText,
  phase: isOneOf('open', 'releasing'),
  since: isTime,
  message: isText,
  requestId: orNull(isText),
  fingerprint: orNull(isText),
  credits: orNull(isNumber),
  probes: isNumber,
  nextProbeAt: orNull(isTime),
});
const isCallCounts = hasFields<CallCounts>({ made: isNumber, failed: isNumber });
const isWorker = hasFields<AccountWorker>({
  fingerprint: orNull(isText),
  perMinute: isNumber,
  reportedAt: isTime,
  calls: (value) => value === undefined || isCallCounts(value),
});
const isLook = hasFields<AccountLook>({
  at: isTime,
  heldBy: orNull(isTable(isNumber)),
  running: isNumber,
  backlog: isNumber,
  backlogAgeMs: isNumber,
  pollers: isTable(areAll(isText)),
  setAtService: orNull(hasFields({ perSecond: isNumber, identity: isText, reason: isText })),
});
const isState = hasFields<AccountState>({
  queue: isText,
  updatedAt: isTime,
  rate: isRate,
  causes: areAll(isCause),
  rateLimited: hasFields({ lastHour: isNumber, lastAt: orNull(isTime), byOthers: isFlag }),
  workers: isTable(isWorker),
  look: orNull(isLook),
  balance: orNull(hasFields({ credits: orNull(isNumber), askedAt: isTime, simulated: isFlag })),
});

/** The state in the memo of an account; null where it is none of ours. */
export function readAccountMemo(memo: unknown): AccountState | null {
  return isState(memo) ? (memo as AccountState) : null;
}
