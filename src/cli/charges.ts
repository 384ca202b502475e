/** What was paid, from what receipts or memos say of each key number. Pure. */
import { unansweredOf, type KeyRecord, type PaidTask } from './key-records.js';
import { isSettled } from '../policy/index.js';
import { groupBy } from './records.js';

/** What a person should look at. */
export interface Flag {
  readonly code: 'paidTwice' | 'sharedTask' | 'failedButCharged' | 'mayBePaid' | 'riskAccepted' | 'severalAttempts';
  readonly message: string;
}

/** A task of a generation, with the key and the attempt that made it. */
export interface ChargedTask extends PaidTask, Pick<KeyRecord, 'idempotencyKey' | 'attempt'> {
  /** True when it has ended, so that its final credits are final. */
  readonly settled: boolean;
}

/** A generation and all that was paid for it. */
export type Charge = ReturnType<typeof chargeOf>;

/** The generations for which something was or may be paid, newest first. `others`: tasks as another source has them. */
export function chargesOf(records: readonly KeyRecord[], others: readonly PaidTask[] = []): Charge[] {
  const known = bestOf([...records.flatMap(({ answer }) => answer ?? []), ...others]);
  const keyed = records.filter(({ attempt }) => attempt !== null);
  const owners = groupBy(keyed, ({ answer }) => answer?.taskId);
  return [...groupBy(records, nameOf).values()]
    .map((own) => chargeOf(own, known, owners))
    .filter(({ tasks, flags }) => tasks.length > 0 || flags.length > 0)
    .toSorted((a, b) => (timesOf(b).at(-1) ?? '').localeCompare(timesOf(a).at(-1) ?? ''));
}

function nameOf({ namespace, workflowId }: KeyRecord): string {
  return `${workflowId} (namespace ${namespace})`;
}

/** When its tasks were made and its open submit was sent, oldest first. */
export function timesOf({ tasks, unansweredSince }: Charge): string[] {
  const made = tasks.map(({ createdAt }) => createdAt);
  return (unansweredSince === null ? made : [...made, unansweredSince]).toSorted();
}

export type Totals = ReturnType<typeof totalsOf>;

/** Sums over different tasks: one that two generations share counts once. */
export function totalsOf(charges: readonly Charge[]) {
  const tasks = [...new Map(charges.flatMap((charge) => charge.tasks).map((task) => [task.taskId, task])).values()];
  const settled = tasks.filter((task) => task.settled);
  return {
    generations: charges.length,
    tasks: tasks.length,
    reservedCredits: tasks.reduce((sum, { reservedCredits }) => sum + (reservedCredits ?? 0), 0),
    finalCredits: settled.reduce((sum, { finalCredits }) => sum + (finalCredits ?? 0), 0),
    // Tasks that are not known to have ended, and those that have.
    unsettledTasks: tasks.length - settled.length,
    unknownCredits: settled.filter(({ finalCredits }) => finalCredits === null).length,
  };
}

/** Sums by the value of one label, in the order of the values; null for generations without it. */
export function groupsOf(charges: readonly Charge[], label: string): (Totals & { readonly value: string | null })[] {
  const groups = groupBy(charges, ({ labels }) => (Object.hasOwn(labels, label) ? (labels[label] ?? null) : null));
  return [...groups]
    .map(([value, own]) => ({ value, ...totalsOf(own) }))
    .toSorted((a, b) => (a.value ?? '').localeCompare(b.value ?? ''));
}

/** What is known best of each task: its end before what came earlier, a number before none. */
function bestOf(tasks: readonly PaidTask[]): ReadonlyMap<string, PaidTask> {
  const best = new Map<string, PaidTask>();
  for (const task of tasks.toSorted((a, b) => Number(isSettled(b)) - Number(isSettled(a)))) {
    const better = best.get(task.taskId) ?? task;
    best.set(task.taskId, {
      ...better,
      reservedCredits: better.reservedCredits ?? task.reservedCredits,
      // Until a task has ended the API may say 0, which is no price.
      finalCredits: better.finalCredits ?? (isSettled(task) ? task.finalCredits : null),
      // A run that waited for the task by its ID began later.
      createdAt: task.createdAt < better.createdAt ? task.createdAt : better.createdAt,
      simulated: better.simulated ?? task.simulated,
    });
  }
  return best;
}

/** For each task ID the records of the generations that made the task: those that only waited for it have no attempt. */
type Owners = ReadonlyMap<string | undefined, readonly KeyRecord[]>;

function chargeOf(records: readonly KeyRecord[], known: ReadonlyMap<string, PaidTask>, owners: Owners) {
  // The record with the key comes first, then one with the attempt.
  const unknown = (one: KeyRecord): number => Number(one.idempotencyKey === null) + Number(one.attempt === null);
  const knownFirst = records.toSorted((a, b) => unknown(a) - unknown(b));
  const found = new Map<string, ChargedTask>();
  for (const { idempotencyKey, attempt, answer } of knownFirst) {
    const task = known.get(answer?.taskId ?? '');
    if (task === undefined || found.has(task.taskId)) continue;
    found.set(task.taskId, { ...task, idempotencyKey, attempt, settled: isSettled(task) });
  }
  // By a memo all attempts were made when its run began.
  const tasks = [...found.values()].toSorted(
    (a, b) => a.createdAt.localeCompare(b.createdAt) || (a.attempt ?? 0) - (b.attempt ?? 0),
  );
  const posts = unansweredOf(records).flatMap(({ unanswered }) => unanswered?.firstPostedAt ?? []);
  const unansweredSince = posts.length === 0 ? null : new Date(Math.min(...posts)).toISOString();
  const reasons = [...new Set(records.flatMap(({ riskReason }) => riskReason ?? []))];
  const flags = flagsOf(tasks, owners, unansweredSince, reasons);
  const idempotencyKeys = [...new Set(records.flatMap(({ idempotencyKey }) => idempotencyKey ?? []))];
  const [{ namespace, workflowId, model, labels }] = knownFirst as [KeyRecord];
  return { namespace, workflowId, model, labels, idempotencyKeys, tasks, unansweredSince, flags };
}

function flagsOf(tasks: readonly ChargedTask[], owners: Owners, since: string | null, reasons: readonly string[]) {
  const flags: Flag[] = [];
  const flag = (code: Flag['code'], message: string): void => void flags.push({ code, message });
  const list = (made: readonly ChargedTask[]): string => made.map((one) => `${one.taskId} (${one.status})`).join(', ');
  const numbered = tasks.filter((one) => one.attempt !== null);
  const attempts = [...groupBy(numbered, ({ attempt }) => attempt)];
  for (const [attempt, made] of attempts) {
    const what = `Attempt ${attempt} was paid ${made.length} times: ${list(made)}.`;
    if (made.length > 1) flag('paidTwice', `${what} Only one was asked for; show the task IDs to Rivya.`);
  }
  for (const { taskId, status, finalCredits } of tasks) {
    const names = [...new Set(owners.get(taskId)?.map(nameOf))];
    const shared = `Task ${taskId} stands for ${names.length} generations: ${names.join('; ')}. A task of all but one may be lost; look for it in the Rivya Studio.`;
    const charged = `Task ${taskId} failed and cost ${finalCredits} credits all the same; ask Rivya for them.`;
    if (names.length > 1) flag('sharedTask', shared);
    if (status === 'failed' && (finalCredits ?? 0) > 0) flag('failedButCharged', charged);
  }
  const each = attempts.map(([attempt, made]) => `attempt ${attempt}: ${list(made)}`).join('; ');
  if (attempts.length > 1) flag('severalAttempts', `maxAttempts allowed ${attempts.length} paid attempts: ${each}.`);
  const open = `The submit of ${since} has no answer: a task may exist and be paid for. Look for it in the Rivya Studio.`;
  if (since !== null) flag('mayBePaid', open);
  const again = 'It was posted again after a submit without an answer, which may have been paid too. The reason given:';
  for (const reason of reasons) flag('riskAccepted', `${again} ${reason}`);
  return flags;
}
