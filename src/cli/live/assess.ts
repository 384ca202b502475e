import type { EmulatorSwitches } from '../../emulator/index.js';
import { formatDuration } from '../../policy/index.js';
import type { Finding } from '../diagnosis.js';
import { judge, STATUS } from '../errors.js';
import { clockOffset, readHeaders, type HeadersSeen } from './headers.js';
import { hasEnded, type Balance, type Observed, type PostName } from './probe.js';
import { matchSwitches, settingsOf, type SwitchesSeen } from './switches.js';
import type { NamedExchange } from './wire.js';

export type ConflictAnswer = 'refused' | 'firstTask' | 'secondTask' | 'unknown' | 'notTried';

/** What one account told about itself. */
export interface LiveReport {
  readonly simulated: boolean;
  readonly idempotencyKey: string;
  readonly replayChargesOnce: 'yes' | 'no' | 'unknown';
  /** What another body under the same key was answered with. */
  readonly conflict: ConflictAnswer;
  /** By how much the balance fell when that was refused; null where it was not, or the balance is not known. */
  readonly conflictCost: number | null;
  /** Every task that was made, with the credits reserved for it. */
  readonly tasks: readonly { readonly taskId: string; readonly reservedCredits: number | null }[];
  readonly balances: readonly Balance[];
  /** By how much the balance fell; null where it could not be read. */
  readonly fell: number | null;
  /** Credits that it may have cost, at worst. */
  readonly atMost: number;
  readonly headers: HeadersSeen;
  readonly switches: SwitchesSeen;
  /** For `startEmulator(…)`: an emulator that behaves like this account as far as that was seen. */
  readonly emulator: { readonly switches: Partial<EmulatorSwitches> };
  readonly findings: readonly Finding[];
}

/** Judges what was seen. */
export function assess(observed: Observed, exchanges: readonly NamedExchange[]): LiveReport {
  const { idempotencyKey, balances, atMost } = observed;
  const switches = matchSwitches(observed, exchanges);
  const headers = readHeaders(exchanges);
  const charge = chargeOf(observed);
  const conflict = conflictOf(observed);
  const conflictCost = conflict === 'refused' ? between(balances, 'replay', 'conflict') : null;
  const findings = [
    aboutCreate(observed),
    aboutReplay(observed, 'replay', 'replay'),
    aboutConflict(observed, conflict, conflictCost),
    aboutRefusal(observed, switches),
    aboutTask(observed),
    aboutReplay(observed, 'late replay', 'replay after the end'),
    aboutBalance(observed, charge),
    aboutHeaders(headers, exchanges),
    aboutClock(exchanges),
    verdict(observed, charge),
  ].filter((finding) => finding !== null);
  return {
    simulated: exchanges.some(({ headers: seen }) => 'x-rivya-simulated' in seen),
    idempotencyKey,
    replayChargesOnce: charge.once,
    conflict,
    conflictCost,
    tasks: charge.tasks,
    balances,
    fell: charge.fell,
    atMost,
    headers,
    switches,
    emulator: { switches: settingsOf(switches) },
    findings,
  };
}

interface Charge {
  readonly once: 'yes' | 'no' | 'unknown';
  readonly tasks: LiveReport['tasks'];
  readonly reserved: number;
  readonly fell: number | null;
}

/** Task IDs decide; the balance tells what task IDs cannot: a charge without an answer, or one without a task. */
function chargeOf({ posts, balances, checks }: Observed): Charge {
  const tasks = new Map(
    Object.values(posts).flatMap(({ value }) => (value === null ? [] : [[value.taskId, value.reservedCredits]])),
  );
  const reserved = [...tasks.values()].reduce<number>((sum, credits) => sum + (credits ?? 0), 0);
  const [start, ...later] = balances[0]?.after === 'start' ? balances : [];
  const fell =
    start === undefined || later.length === 0 ? null : start.credits - Math.min(...later.map(({ credits }) => credits));
  const same = (['create', 'replay', 'late replay'] as const).flatMap((name) => posts[name] ?? []);
  const answered = same.flatMap(({ value }) => value?.taskId ?? []);
  const lost = same.filter(({ error }) => error?.outcome === 'unknown').length;
  const known: Omit<Charge, 'once'> = {
    tasks: [...tasks].map(([taskId, reservedCredits]) => ({ taskId, reservedCredits })),
    reserved,
    fell,
  };
  if (new Set(answered).size > 1) return { ...known, once: 'no' };
  if (fell !== null && fell > reserved) return { ...known, once: 'unknown' };
  // With a lost answer in between, only a balance that fell for one task says that no other was made; a task that failed
  // is refunded, and then it says nothing.
  const kept = checks.at(-1)?.value?.status === 'succeeded';
  const proven = lost === 0 ? answered.length > 1 : answered.length > 0 && kept && fell === reserved;
  return { ...known, once: proven ? 'yes' : 'unknown' };
}

function conflictOf({ posts }: Observed): ConflictAnswer {
  const conflict = posts['conflict'];
  if (conflict === undefined) return 'notTried';
  if (conflict.value !== null) {
    const first = posts['create']?.value ?? posts['replay']?.value;
    return conflict.value.taskId === first?.taskId ? 'firstTask' : 'secondTask';
  }
  return conflict.error?.outcome === 'refused' ? 'refused' : 'unknown';
}

function found(level: Finding['level'], name: string, says: string, status?: number): Finding {
  return { name, level, says, ...(status !== undefined && { status }) };
}

function amount(n: number | null): string {
  return n === null ? 'an unknown number of credits' : `${n} credit${n === 1 ? '' : 's'}`;
}

/** How to take up what a lost answer left behind: the same bytes under the same key. */
function takeUp({ model, prompt, idempotencyKey }: Observed): string {
  return `Take it up under the same key with: rivya-temporal generate --model ${model} --prompt "${prompt}" --idempotency-key ${idempotencyKey}`;
}

function aboutCreate(observed: Observed): Finding | null {
  const { create } = observed.posts;
  if (create === undefined) return null;
  const { value: task, error, exchange } = create;
  if (task !== null) {
    const says = `HTTP ${exchange.httpStatus}, task ${task.taskId}, ${amount(task.reservedCredits)} reserved`;
    return (task.reservedCredits ?? 0) > observed.price
      ? found('warn', 'create', `${says}: MORE than the ${observed.price} of the list of models`)
      : found('ok', 'create', says);
  }
  if (error?.outcome === 'refused') {
    const { action, status } = judge(error);
    return found('fail', 'create', [error.message, action].filter(Boolean).join(' '), status);
  }
  return found('warn', 'create', `${error?.message} Key ${observed.idempotencyKey}.`);
}

function aboutReplay(observed: Observed, name: 'replay' | 'late replay', title: string): Finding | null {
  const { create } = observed.posts;
  const step = observed.posts[name];
  if (step === undefined) return notTried(observed, name, title);
  const { value: task, error, exchange } = step;
  if (task !== null) {
    const first = create?.value ?? (name === 'late replay' ? observed.posts['replay']?.value : null) ?? null;
    if (first === null) {
      return found('ok', title, `HTTP ${exchange.httpStatus}, task ${task.taskId}: a lost answer is found again`);
    }
    return task.taskId === first.taskId
      ? found('ok', title, `HTTP ${exchange.httpStatus}, the same task`)
      : found('fail', title, `HTTP ${exchange.httpStatus}, A SECOND TASK: ${task.taskId}`);
  }
  if (error?.code === 'idempotency_conflict') {
    const says = `${error.message} The same bytes under the same key were refused, so the task of a lost answer could not be found again.`;
    return found('fail', title, says);
  }
  return found('warn', title, `${error?.message}`);
}

function notTried({ skipped }: Observed, name: PostName, title: string): Finding | null {
  const why = skipped[name];
  return why === undefined ? null : found('warn', title, `not tried: ${why}`);
}

function aboutConflict(observed: Observed, answer: ConflictAnswer, cost: number | null): Finding | null {
  const step = observed.posts['conflict'];
  const title = 'another body, same key';
  if (step === undefined) return notTried(observed, 'conflict', title);
  const { value: task, error, exchange } = step;
  if (answer === 'secondTask') {
    const says = `HTTP ${exchange.httpStatus}, A SECOND TASK: ${task?.taskId}, ${amount(task?.reservedCredits ?? null)} reserved. On this account a key does not stand for one request. rivya-temporal sends the same bytes under a key, but nothing catches a program that does not.`;
    return found('fail', title, says);
  }
  if (answer === 'firstTask') {
    const says = `HTTP ${exchange.httpStatus}, the first task: this API does not compare bodies. Nothing was made twice.`;
    return found('warn', title, says);
  }
  if (answer === 'unknown') return found('fail', title, `${error?.message}`);
  const money =
    cost === null
      ? 'the balance is not known'
      : cost === 0
        ? 'the balance did not change'
        : `THE BALANCE FELL BY ${cost}`;
  const refused = `refused (HTTP ${exchange.httpStatus} ${error?.code}); ${money}`;
  return found(error?.code === 'idempotency_conflict' && (cost ?? 0) <= 0 ? 'ok' : 'warn', title, refused);
}

function aboutRefusal(observed: Observed, { storeRefusals }: SwitchesSeen): Finding | null {
  const { refusal } = observed.posts;
  if (refusal === undefined) return notTried(observed, 'refusal', 'invalid body');
  const { value: task, error, exchange } = refusal;
  if (task !== null) return found('fail', 'invalid body', `HTTP ${exchange.httpStatus}, TASK ${task.taskId} WAS MADE`);
  if (error?.outcome !== 'refused') return found('warn', 'invalid body', `${error?.message}`);
  const says = `refused (HTTP ${exchange.httpStatus} ${error.code}); the same again: ${storeRefusals.says}`;
  return found(error.code === 'validation_failed' ? 'ok' : 'warn', 'invalid body', says);
}

function aboutTask(observed: Observed): Finding | null {
  const { posts, checks, model } = observed;
  const first = posts['create']?.value ?? posts['replay']?.value;
  if (first == null) return null;
  const last = checks.at(-1);
  if (last?.value == null || !hasEnded(last)) {
    const why = last?.error == null ? '' : `${last.error.message} `;
    const says = `${first.taskId} has not ended here; it goes on. ${why}Wait for it, for nothing, with: rivya-temporal generate --model ${model} --task-id ${first.taskId}`;
    return found('warn', 'task', says);
  }
  const { status, error, finalCredits } = last.value;
  const after = formatDuration(last.exchange.sentAt - (posts['create']?.exchange.sentAt ?? last.exchange.sentAt));
  const says = `${first.taskId} ${status} within ${after}, ${amount(finalCredits)} final`;
  return status === 'failed'
    ? found('warn', 'task', `${says} (${error?.code ?? 'no error code'})`)
    : found('ok', 'task', says);
}

function between(balances: readonly Balance[], from: Balance['after'], to: Balance['after']): number | null {
  const [before, after] = [from, to].map((name) => balances.find(({ after: step }) => step === name));
  return before === undefined || after === undefined ? null : before.credits - after.credits;
}

function aboutBalance({ balances, posts }: Observed, { fell, reserved }: Charge): Finding | null {
  if (posts['create'] === undefined) return null;
  if (fell === null) return found('warn', 'balance', 'could not be read before and after, so it proves nothing here');
  const says = `${balances[0]?.credits} before, ${balances.at(-1)?.credits} after; it fell by ${fell}; reserved: ${amount(reserved)}`;
  return found(fell > reserved ? 'warn' : 'ok', 'balance', says);
}

function aboutHeaders({ requestId, rateLimit }: HeadersSeen, exchanges: readonly NamedExchange[]): Finding {
  const read = requestId === null || exchanges.some(({ requestId: id }) => id !== null);
  const id = requestId === null ? 'no request ID' : `request ID in ${requestId}`;
  const limits = Object.entries(rateLimit).map(([name, value]) => `${name}: ${value}`);
  const says = `${id}${read ? '' : ' (which this version does not read)'}; rate limit: ${limits.join(', ') || 'not told'}`;
  return found('ok', 'headers', says);
}

function aboutClock(exchanges: readonly NamedExchange[]): Finding {
  const offset = clockOffset(exchanges);
  if (offset === null) return found('ok', 'clock', 'the replies have no Date');
  if (offset === 0) return found('ok', 'clock', "agrees with the API's");
  const says = `the API's is ${formatDuration(Math.abs(offset))} ${offset > 0 ? 'ahead' : 'behind'}; set this machine's clock (NTP)`;
  return found('warn', 'clock', says);
}

function verdict(observed: Observed, { once, tasks, fell, reserved }: Charge): Finding | null {
  const { create } = observed.posts;
  // A create that was refused has said what is wrong already.
  if (create === undefined || create.error?.outcome === 'refused') return null;
  const title = 'a replay charges once';
  if (once === 'yes') return found('ok', title, `yes: each answer under the key gave ${tasks[0]?.taskId}`);
  if (once === 'no') {
    const says = `NO: the same bytes under the same key made more than one task (${tasks.map(({ taskId }) => taskId).join(', ')}). A lost answer to a submit can be paid twice on this account. Until Rivya has explained it, set options.idempotencyWindow to "1s", so that an unanswered submit holds for a person instead of being repeated.`;
    return found('fail', title, says, STATUS.failed);
  }
  const why =
    tasks.length === 0
      ? `a task may exist under the key ${observed.idempotencyKey} and may have been paid for. ${takeUp(observed)}`
      : fell !== null && fell > reserved
        ? `the balance fell by ${fell}, and the tasks that were answered reserved ${amount(reserved)}: a replay was charged as well, or something else used the account. Run it again while nothing else does.`
        : 'too few answers came to tell. Run it again.';
  return found('fail', title, `unknown: ${why}`, STATUS.failed);
}

/** Exit status: a double charge and a doubt about one come first, then what stopped the probe. */
export function statusOf(findings: readonly Finding[], interrupted: boolean): number {
  const failed = findings.filter(({ level }) => level === 'fail').map(({ status = STATUS.failed }) => status);
  if (interrupted) return STATUS.interrupted;
  return failed.includes(STATUS.failed) ? STATUS.failed : Math.max(STATUS.done, ...failed);
}
