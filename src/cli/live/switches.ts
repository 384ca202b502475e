import { parseHttpDate, type Exchange } from '../../api/index.js';
import type { EmulatorSwitches } from '../../emulator/index.js';
import { formatDuration } from '../../policy/index.js';
import { clockOffset } from './headers.js';
import { hasEnded, rawBody, rawResult, type Observed } from './probe.js';

/** The setting of one switch that behaves like the account, or why there is none. */
export interface SwitchSeen<Value> {
  /** Null: not seen. */
  readonly setting: Value | null;
  readonly says: string;
}

export type SwitchesSeen = { readonly [Name in keyof EmulatorSwitches]: SwitchSeen<EmulatorSwitches[Name]> };

/** Which settings of the emulator behave like the account that was observed. */
export function matchSwitches(observed: Observed, exchanges: readonly Exchange[]): SwitchesSeen {
  const noFile = notSeen('no file is uploaded');
  const noChat = notSeen('no chat is begun');
  return {
    createStatus: createStatus(observed),
    createBody: createBody(observed),
    replay: replay(observed),
    storeRefusals: stored(observed.posts['refusal'], observed.posts['refusal again']),
    storeServerErrors: storeServerErrors(observed),
    concurrentPost: notSeen('two POSTs at the same time are not tried: they could be paid twice'),
    keyScope: notSeen('a second API key would be needed'),
    keyLifetimeMs: keyLifetime(observed),
    urls: urls(observed),
    errorOnFailed: errorOnFailed(observed),
    resultLagMs: resultLag(observed),
    clockOffsetMs: clock(exchanges),
    retryAfter: retryAfter(exchanges),
    fileStatus: noFile,
    fileBody: noFile,
    fileAgain: noFile,
    fileLifetimeMs: noFile,
    durationToken: noFile,
    unknownSession: noChat,
    otherModelInSession: noChat,
    busySession: noChat,
    chatFiles: noChat,
  };
}

/** The seen settings, as `startEmulator({ switches })` takes them. */
export function settingsOf(seen: SwitchesSeen): Partial<EmulatorSwitches> {
  const known = Object.entries(seen).filter(([, { setting }]) => setting !== null);
  return Object.fromEntries(known.map(([name, { setting }]) => [name, setting]));
}

function as<Value>(setting: Value, because?: string): SwitchSeen<Value> {
  return { setting, says: because === undefined ? String(setting) : `${String(setting)}: ${because}` };
}

function notSeen(why: string): SwitchSeen<never> {
  return { setting: null, says: `not seen: ${why}` };
}

function createStatus({ posts: { create } }: Observed): SwitchSeen<200 | 201 | 202> {
  if (create?.value == null) return notSeen('the create was not answered with a task');
  const { httpStatus } = create.exchange;
  return httpStatus === 200 || httpStatus === 201 || httpStatus === 202
    ? as(httpStatus)
    : notSeen(`HTTP ${httpStatus}, which the emulator does not answer`);
}

function createBody({ posts: { create } }: Observed): SwitchSeen<'full' | 'short'> {
  if (create?.value == null) return notSeen('the create was not answered with a task');
  const body = rawBody(create);
  const there = ['final_credits', 'created_at', 'updated_at'].filter((name) => Object.hasOwn(body, name));
  if (there.length === 3) return as('full');
  return there.length === 0 ? as('short') : notSeen(`of the times and final credits it has only ${there.join(', ')}`);
}

function replay({ posts, checks }: Observed): SwitchSeen<'stored' | 'current'> {
  const [first, late, end] = [posts['create']?.value, posts['late replay']?.value, checks.at(-1)?.value];
  if (first == null || late == null || end == null) return notSeen('no replay after the end was answered with a task');
  if (late.taskId !== first.taskId) return notSeen('the replay after the end made another task');
  if (first.status === end.status) return notSeen(`the create said "${first.status}" already`);
  if (late.status === first.status) return as('stored');
  return late.status === end.status ? as('current') : notSeen(`the replay said "${late.status}"`);
}

/** Whether two errors of one key are one and the same. */
function stored(first: Observed['posts']['create'], again: Observed['posts']['create']): SwitchSeen<boolean> {
  const [one, other] = [first?.error, again?.error];
  if (one == null || other == null) return notSeen('the request was not refused twice');
  if (one.code !== other.code) return notSeen(`refused with ${one.code} and then with ${other.code}`);
  if (one.requestId === null || other.requestId === null) return notSeen('the refusals carry no requestId');
  const says = one.requestId === other.requestId ? 'the same' : 'another';
  return as(one.requestId === other.requestId, `${one.code} came again with ${says} requestId`);
}

function storeServerErrors({ posts: { create, replay: again } }: Observed): SwitchSeen<boolean> {
  const failed = create?.error?.httpStatus === 500 && again?.error?.httpStatus === 500;
  return failed ? stored(create, again) : notSeen('no HTTP 500 was answered twice');
}

function keyLifetime({ posts, checks }: Observed): SwitchSeen<number> {
  const { create, replay: again, 'late replay': late } = posts;
  const made = (step: typeof create): boolean =>
    step?.value != null && create?.value != null && step.value.taskId !== create.value.taskId;
  if (create !== undefined && made(again)) return as(0, 'the key was not remembered at all');
  const age = late === undefined || create === undefined ? null : late.exchange.sentAt - create.exchange.sentAt;
  if (age !== null && made(late)) return as(age, `forgotten after ${formatDuration(age)} at the latest`);
  if (age === null || late?.value == null || checks.length === 0) return notSeen('how long is not published');
  return notSeen(`remembered for ${formatDuration(age)} at least; how long is not published`);
}

function urls({ checks }: Observed): SwitchSeen<'present' | 'missing' | 'none'> {
  const last = checks.findLast((step) => step.value?.status === 'succeeded');
  if (last === undefined) return notSeen('the task did not succeed');
  const result = rawResult(last);
  if (result === null) return notSeen('the task succeeded without a result');
  if (Array.isArray(result['urls']) && result['urls'].length > 0) return as('present');
  return typeof result['primary_url'] === 'string' ? as('missing') : as('none');
}

function errorOnFailed({ checks }: Observed): SwitchSeen<'present' | 'null'> {
  const last = checks.at(-1);
  if (last?.value?.status !== 'failed') return notSeen('the task did not fail');
  return last.value.error === null ? as('null') : as('present');
}

function resultLag({ checks }: Observed): SwitchSeen<number> {
  const ended = checks.filter((step) => hasEnded(step) && step.value?.status === 'succeeded');
  const at = ended.findIndex((step) => rawResult(step) !== null);
  const [first, withResult] = [ended[0], ended[at]];
  if (first === undefined) return notSeen('the task did not succeed');
  if (withResult === undefined) return notSeen('the task succeeded without a result');
  if (at === 0) return as(0, 'the result was there with the status');
  const lag = withResult.exchange.sentAt - first.exchange.sentAt;
  return as(lag, `the result came ${formatDuration(lag)} after the status at the latest`);
}

function clock(exchanges: readonly Exchange[]): SwitchSeen<number> {
  const offset = clockOffset(exchanges);
  if (offset === null) return notSeen('the replies have no Date header');
  return as(offset, offset === 0 ? 'the clocks agree' : 'to the second');
}

function retryAfter(exchanges: readonly Exchange[]): SwitchSeen<'none' | 'seconds' | 'date'> {
  const throttled = exchanges.find(({ httpStatus }) => httpStatus === 429 || httpStatus === 503);
  if (throttled === undefined) return notSeen('no reply was a 429 or a 503');
  const value = throttled.headers['retry-after'];
  if (value === undefined) return as('none');
  return parseHttpDate(value) === null ? as('seconds') : as('date');
}
