import { planOf, type Plan } from '../../../batch/plan.js';
import { rowsOf } from '../../../batch/results.js';
import type { BatchHead } from '../../../batch/files.js';
import type { AccountRate, BatchState, Hold } from '../../../contract/index.js';
import { endedOf, pricingOf, timeLeft } from '../../../policy/index.js';
import { TemporalUnreachable } from '../../../temporal/connect.js';
import { workflowLink } from '../../../temporal/links.js';
import { lookAtAccount } from '../../account-handle.js';
import { rateText } from '../../account-page.js';
import { batchAdvice, commandOf, reportCommand } from '../../batch-commands.js';
import type { SeenBatch } from '../../batch-handle.js';
import type { BatchPlace } from '../../batch-place.js';
import { counted, leftOf, leftText, lineOf, looksAt, number } from '../../batch-progress.js';
import { afterHold } from '../../batch-end.js';
import { batchAt, connectPlace, hasEnded, type Running } from '../../batch-work.js';
import { STORE } from '../../batches.js';
import { AnswerMissing, STATUS } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { printFacts, printJson, Progress, quoted, say } from '../../output.js';
import { interruption } from '../../terminal.js';

export const register: Register = (command) => {
  command
    .option(...STORE)
    .option('--watch', 'show how it goes until it ends, or until Ctrl-C')
    .addHelpText('after', examples('batch status spring', 'batch status spring --watch'));
  return status;
};

async function status(options: Texts<'store'> & Flags<'watch' | 'json'>, batchId = ''): Promise<number> {
  const { json = false, watch = false } = options;
  const { place, found } = await batchAt(batchId, options);
  const { files, manifest, head } = found;
  const running = await connectPlace(batchId, place).catch(orUnreachable);
  const seen = (await running?.handle.look()) ?? null;
  const last = watch && running !== null && seen?.isRunning === true ? await watched(running, place) : seen;
  const plan = await planOf(rowsOf(files, manifest), { classes: manifest.classes, first: null });
  const state = last?.state ?? null;
  const calls = running !== null && last?.isRunning === true ? await callRate(running) : null;
  if (json) {
    const { items, done, remaining, failed, spentCredits, estimate } = plan;
    const stored = { items, done, remaining, failed, spentCredits, estimate };
    const left = state === null ? null : timeLeft(state, Date.now());
    const timeLeftMs = left && { from: Math.round(left.from), to: Math.round(left.to) };
    printJson({ batchId, phase: phaseOf(last, plan), ...stored, state, callRate: calls, timeLeftMs });
    return STATUS.done;
  }
  const link = running === null ? null : workflowLink(running, batchId);
  const held = plan.remaining > 0 ? (head.held ?? null) : null;
  const left = last?.isRunning === true ? null : (head.left ?? null);
  const look = reportCommand(batchId, place);
  print(batchId, { seen: last, plan, calls, held, left, link, place, look });
  return STATUS.done;
}

/** Null where the Temporal of the batch cannot be reached: its records are in the store. */
function orUnreachable(error: unknown): null {
  if (!(error instanceof TemporalUnreachable)) throw error;
  say(error.message);
  return null;
}

/** The rate of calls where it is another than the Workers were told; else null, as where the account cannot be seen. */
async function callRate(running: Running): Promise<AccountRate | null> {
  const rate = (await lookAtAccount(running).catch(() => null))?.state?.rate ?? null;
  return rate === null || (rate.set === null && rate.closedUntil === null) ? null : rate;
}

/** @throws AnswerMissing where Temporal gives no answer any more. */
async function watched({ handle }: Running, place: BatchPlace): Promise<SeenBatch | null> {
  const progress = new Progress();
  let last: SeenBatch | null = null;
  for await (const look of looksAt(handle, { interrupted: interruption(), hasEnded: hasEnded(place) })) {
    if ('gone' in look) {
      if (look.gone === null) return null;
      const { batchId } = handle;
      throw new AnswerMissing(`${commandOf('status', place, batchId)} --watch`, look.gone);
    }
    last = look.seen;
    if (last.state !== null) {
      const { counts, phase } = last.state;
      const twentieth = Math.floor((20 * endedOf(counts)) / Math.max(1, counts.items));
      if (counts.items > 0) progress.set('', lineOf(last.state), `${phase} ${twentieth}`);
    }
    if (!last.isRunning) break;
  }
  return last;
}

function phaseOf(seen: SeenBatch | null, { remaining }: Plan): BatchState['phase'] | 'stopped' {
  if (seen === null || seen.state === null) return 'stopped';
  if (seen.isRunning) return seen.state.phase;
  if (seen.state.phase !== 'done') return 'cancelled';
  // Some of its items ran alone.
  return remaining > 0 ? 'stopped' : 'done';
}

const listOf = (by: Readonly<Record<string, number>>): string | null => {
  const codes = Object.entries(by).toSorted(([, a], [, b]) => b - a);
  return codes.length === 0 ? null : codes.map(([code, items]) => `${number(items)} ${code}`).join(', ');
};

interface Shown {
  readonly seen: SeenBatch | null;
  readonly plan: Plan;
  readonly calls: AccountRate | null;
  /** Why the batch was held when its last command ended. */
  readonly held: Pick<Hold, 'message' | 'action'> | null;
  /** What was started and had not ended then. */
  readonly left: BatchHead['left'];
  readonly link: string | null;
  readonly place: BatchPlace;
  readonly look: string;
}

function print(batchId: string, { seen, plan, calls, held, left, link, place, look }: Shown): void {
  const state = seen?.isRunning === true ? seen.state : null;
  const phase = phaseOf(seen, plan);
  const isDone = plan.remaining === 0 && left == null;
  const stopped = isDone ? 'done' : 'does not run';
  const words = { ...WORDS, stopped, done: stopped };
  const hold = state === null ? held : state.hold;
  printFacts(`${batchId}: ${words[phase]}`, [
    ['items', `${number(plan.done)} of ${number(plan.items)} done`],
    ['running', state && number(state.counts.open - state.counts.held)],
    ['held', state && listOf(state.counts.heldBy)],
    ['failed', plan.failed === 0 ? null : (listOf(state?.counts.failedBy ?? {}) ?? number(plan.failed))],
    ['credits', number(plan.spentCredits)],
    ['under way', left && leftText(left)],
    ['limit', state?.settings.maxCredits == null ? null : counted(state.settings.maxCredits, 'credit')],
    [
      'not known',
      plan.unknown === 0 ? null : `what ${counted(plan.unknown, 'item')} cost: the expected price is among the credits`,
    ],
    [
      'rate',
      state === null || state.perMinute === 0
        ? null
        : `${number(Math.round(state.perMinute * 10) / 10)} items a minute`,
    ],
    ['calls', calls && `${rateText(calls)}. More: rivya-temporal account`],
    ['time left', state && leftOf(state)],
    ['now', state && pricingOf(state)],
    ['reason', hold && batchAdvice(hold.message, place, batchId)],
    ['problem', seen?.problem ?? null],
    ['what to do', batchAdvice(toDo({ batchId, seen, state, hold, plan, left, place, look }), place, batchId)],
    ['Temporal', link],
  ]);
}

const WORDS = { running: 'running', paused: 'paused', held: 'held', done: 'done', cancelled: 'cancelled' } as const;

function toDo({
  batchId,
  seen,
  state,
  hold,
  plan,
  left,
  place,
  look,
}: Pick<Shown, 'seen' | 'plan' | 'left' | 'place' | 'look'> & {
  readonly batchId: string;
  readonly state: BatchState | null;
  readonly hold: Pick<Hold, 'action'> | null;
}) {
  const command = (name: string): string => commandOf(name, place, batchId);
  if (seen?.problem != null)
    return 'It starts nothing until that is over: see rivya-temporal/docs/runbook.md#rivya-failing-workflow-tasks. Items that run go on.';
  if (state?.phase === 'paused') return `Go on with: ${command('resume')}`;
  if (hold !== null) return afterHold(hold.action, command('resume'));
  if (state !== null && state.counts.held > 0)
    return `Help the items that are held: rivya-temporal list --status held --id-prefix ${quoted(`${batchId}/`)}`;
  if (state !== null) return 'Nothing: it goes on by itself.';
  if (plan.remaining > 0 || left != null) return `Go on with: ${command('resume')}`;
  return plan.failed + plan.cancelled > 0
    ? `Try again what failed or was cancelled: ${command('retry')}`
    : `Look at the results: ${look}`;
}
