/** `resume`, `check-now` and `cancel` for all that a visibility query finds, by the Service's batch operation. */
import { CHECK_NOW, FAILURE, OPEN_QUERY, RESUME } from '../contract/index.js';
import { readResume } from '../policy/index.js';
import * as batch from '../temporal/batch-operation.js';
import { askWhetherOver } from './account-handle.js';
import { commands } from './advice.js';
import { confirmSpending, interruption } from './terminal.js';
import { openTemporal } from './context.js';
import { checkQuery } from './ended.js';
import { STATUS, UsageError } from './errors.js';
import type { Flags, Texts } from './options.js';
import { print, printJson, printTable, Progress, say } from './output.js';
import { PAID_RUNS, paidRuns } from './paid-runs.js';
import { groupBy, notRead, type Unread } from './records.js';

export type BulkAction = 'resume' | 'check-now' | 'cancel';
export type BulkOptions = Texts<'query' | 'reason' | 'taskId' | 'step' | 'output' | 'to'> &
  Flags<'yes' | 'json' | 'storeAsIs' | 'support'>;
type SteeredRun = batch.WaitingRun & { readonly code: string | null };

const DONE = { resume: 'resumed', 'check-now': 'told to check', cancel: 'cancelled' } as const;
const BUSY = 'The Service runs one batch job at a time, and has not taken this one yet. It is tried again.';
// Why a run is left.
const RISK = 'a task may exist: resume it by its ID with --task-id, or with --reason, and it may be paid twice';
const TAKEN = { resume: 'it took no notice: run the command again', 'check-now': null, cancel: 'a submit ends first' };

/** True where a command is for many. @throws UsageError unless there is either an ID or a query. */
export function isBulk(workflowId: string | undefined, { query, taskId, step, storeAsIs }: BulkOptions): boolean {
  const given = [workflowId, query].filter((one) => one !== undefined).length;
  if (given !== 1) throw new UsageError(`workflow-id, --query: give one of them, not ${given}. Nothing was sent.`);
  if (query?.trim() === '') throw new UsageError('--query: is empty. Nothing was sent.');
  const single = { '--step': step, '--task-id': taskId, '--store-as-is': storeAsIs };
  const stray = Object.entries(single).find(([, value]) => value !== undefined)?.[0];
  if (query === undefined || stray === undefined) return query !== undefined;
  throw new UsageError(`${stray}: is for one generation, so it cannot go with --query. Nothing was sent.`);
}

/** Does it for all that the query finds, until nobody is left. Returns the exit status. */
export async function bulk(action: BulkAction, { query = '', reason, yes, json }: BulkOptions): Promise<number> {
  readResume({ reason });
  const interrupted = interruption();
  const temporal = await openTemporal();
  const { client } = temporal;
  await checkQuery(client, query);
  const resumes = action === 'resume';
  const open = `${PAID_RUNS} AND ${OPEN_QUERY} AND (${query})`;
  const searched = resumes ? await batch.heldAmong(client, open) : open;
  const unread = new Map<string, Unread>();
  const look = async (): Promise<SteeredRun[]> => {
    const found: SteeredRun[] = [];
    for await (const { workflowId, runId, paid, unread: why } of paidRuns(client, searched)) {
      if (resumes && why !== undefined) unread.set(workflowId, { workflowId, why });
      const { code, since } = (paid?.phase === 'held' ? paid.hold : null) ?? { code: null, since: null };
      const fits = resumes ? code !== null : action === 'cancel' || paid?.phase === 'waiting';
      if (fits) found.push({ workflowId, runId, code, state: resumes ? `${code} ${since}` : '' });
    }
    return found;
  };
  const first = await look();
  const isRisk = ({ code }: SteeredRun): boolean => resumes && code === FAILURE.SubmitUnresolved;
  // A person agrees to the risk of those that were counted, and to their end: not for those that come later.
  const counted = new Map(first.map(({ runId, state }) => [runId, state]));
  const wasCounted = ({ runId, state }: SteeredRun): boolean => counted.get(runId) === state;
  const mayGoOn = (one: SteeredRun): boolean =>
    isRisk(one) ? reason !== undefined && wasCounted(one) : action !== 'cancel' || wasCounted(one);
  const agreed = first.filter(mayGoOn);
  const accepted = agreed.filter(isRisk).map(({ runId }) => runId);
  const causes = [...groupBy(first, ({ code }) => code ?? 'not held')].map(([code, { length }]) => `${length} ${code}`);
  say(`${[`${first.length} found`, ...causes].join(', ')}. To be ${DONE[action]}: ${agreed.length}.`);
  if (accepted.length > 0) say(`For ${accepted.length} of them a task may exist: each of these may be paid twice.`);
  if (action === 'cancel') say('Nobody waits for them then. A task that exists goes on at Rivya and is paid.');
  if (agreed.length > 0 && !yes && !(await confirmSpending('Go on? [y/N] ', 'Give --yes to go on.', interrupted))) {
    if (interrupted.aborted) return STATUS.interrupted;
    throw new UsageError('Nothing was sent.');
  }

  const progress = new Progress();
  const codes = resumes ? agreed.map(({ code }) => code) : [];
  await askWhetherOver(temporal, codes);
  // Anything may have happened while a question stood there.
  const due = yes ? agreed : (await look()).filter(mayGoOn);
  const reasons = new Set(accepted);
  const send = async (runs: readonly SteeredRun[]): Promise<void> => {
    for (const [risky, group] of groupBy(runs, ({ runId }) => reasons.has(runId))) {
      const signal = { signal: resumes ? RESUME : CHECK_NOW, ...(risky && { input: { reason } }) };
      const operation = { send: action === 'cancel' ? action : signal, reason: `rivya-temporal ${action}: ${query}` };
      const sent = (n: number): void => progress.set('', `${n} of ${group.length} sent`, `${Math.ceil(n / 250)}`);
      await batch.runBatchOperation(client, operation, group, { sent, busy: () => progress.note(BUSY), interrupted });
      // A reason is sent once: a second one could meet the next hold.
      if (risky) reasons.clear();
    }
  };
  // No list shows that a check was asked for. A run without a Workflow Task has taken the Signal.
  let unchecked = due;
  const stillUnchecked = async (): Promise<SteeredRun[]> => {
    const whys = await Promise.all(unchecked.map((one) => batch.whyLeft(client, one, one.state)));
    return (unchecked = unchecked.filter((_, index) => whys[index] !== null));
  };
  const again = action === 'check-now' ? stillUnchecked : async () => (await look()).filter(mayGoOn);
  const left = [];
  let asked: ReadonlyMap<string, string> = new Map();
  try {
    if (due.length > 0) asked = await batch.repeatUntilNobody({ first: due, look: again, send, interrupted });
    for (const one of action === 'check-now' ? unchecked : await look()) {
      const { workflowId, runId, code } = one;
      const risk = isRisk(one) && !mayGoOn(one);
      const why = risk ? RISK : ((await batch.whyLeft(client, one, asked.get(runId))) ?? TAKEN[action]);
      if (why !== null) left.push({ workflowId, runId, code, why: commands(why) });
    }
  } catch (error) {
    if (!interrupted.aborted) throw error;
    say('Interrupted. What was sent stays sent.');
    return STATUS.interrupted;
  }
  const reacted = asked.size - left.filter(({ runId }) => asked.has(runId)).length;
  if (json) printJson({ action, query, found: first.length, reacted, left, unread: [...unread.values()] });
  else print(`${reacted} ${DONE[action]}, ${left.length} left.`);
  if (!json) printTable(left.map(({ workflowId, code, why }) => [workflowId, code, why]));
  if (unread.size > 0) say(notRead([...unread.values()], 'They were not resumed.'));
  return left.length + unread.size === 0 ? STATUS.done : STATUS.held;
}
