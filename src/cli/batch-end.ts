/** The end of a command that runs a batch: the tables, what it says of how the batch stands, and its exit status. */
import type { BatchFiles, BatchHead } from '../batch/files.js';
import { planOf, type Plan } from '../batch/plan.js';
import { rowsOf, writeResults } from '../batch/results.js';
import type { BatchManifest, BatchSettings, BatchState, Hold } from '../contract/index.js';
import { range, withoutResume } from '../policy/index.js';
import { advice, commands } from './advice.js';
import { batchAdvice, commandOf, reportCommand } from './batch-commands.js';
import { counted, leftText, number, type BatchEnd } from './batch-progress.js';
import type { BatchPlace } from './batch-place.js';
import { STATUS } from './errors.js';
import { print, printJson, printTable, readableUri, say } from './output.js';

/** What the end of a command that runs a batch needs to know. */
export interface EndingWork {
  readonly place: BatchPlace;
  readonly files: BatchFiles;
  /** Of the items that are started: those of the batch, or some of them. */
  readonly manifest: BatchManifest;
  readonly settings: BatchSettings;
  /** Of the whole batch. */
  readonly head: BatchHead;
  readonly json: boolean;
  /** The command that goes on, for messages. */
  readonly again: string;
  /** The command that runs the items which this start leaves out; null where it leaves none out. */
  readonly rest: string | null;
  /** Credits of the account now; null where they cannot be read. */
  readonly balance: () => Promise<number | null>;
}

/**
 * Writes the tables of the batch as it is now, says how it ended, and what to do next. Returns the exit status.
 * @param example - What one of the items says that are held, where nothing else holds the batch.
 */
export async function reportEnd(one: EndingWork, end: BatchEnd, example: string): Promise<number> {
  const { place, files, settings, json, again, rest, head, balance } = one;
  const { batchId } = files;
  const advise = (text: string): string => batchAdvice(text, place, batchId);
  if (end.kind === 'interrupted') {
    const left = openOf(end.state);
    // Elsewhere the batch goes on.
    if (place.at.kind === 'own')
      await files.changeHead((was) => ({ held: end.state?.hold ?? null, left: left ?? was.left ?? null }));
    const [pause, watch] = ['pause', 'status'].map((name) => commandOf(name, place, batchId));
    const submitted = left === null ? 'Tasks that were submitted' : `${leftText(left)} Their tasks`;
    const goesOn =
      place.at.kind === 'own'
        ? `Nothing runs any more. ${submitted} go on at Rivya, and are found and not paid again. Go on with: ${again}`
        : `The batch goes on in Temporal; to stop starting items, use: ${pause}. Watch it with: ${watch} --watch`;
    say(advice(`Interrupted. ${goesOn}`));
    return STATUS.interrupted;
  }
  // Another command may have added items meanwhile.
  const manifest = (await files.current()) ?? one.manifest;
  const tables = await writeResults(place.store, files, manifest, commands(commandOf('retry', place, batchId)));
  const all = await planOf(rowsOf(files, manifest), { ...manifest, first: null });
  const { first } = settings;
  const plan = first === null ? all : await planOf(rowsOf(files, manifest), { ...manifest, first });
  const whole = rest === null ? null : all;
  const credits = head.balance === null ? null : await balance();
  const last = credits === null ? null : { at: new Date().toISOString(), credits };
  const held = end.kind === 'held' ? holdOf(end.state, example) : null;
  const state = stateOf(end);
  const left = openOf(state);
  await files.changeHead(({ balance: was }) => ({
    balance: was && last ? { ...was, last } : was,
    // Where it cannot be seen any more, what was known stays.
    ...(state !== null && { held, left }),
  }));
  const status = statusOf(end, plan, rest);
  if (json) {
    printJson({
      batchId,
      ended: end.kind,
      workflow: end.kind === 'ended' ? end.seen.status : null,
      items: plan.items,
      done: plan.done,
      remaining: plan.remaining,
      failed: plan.failed,
      cancelled: plan.cancelled,
      spentCredits: plan.spentCredits,
      counts: state?.counts ?? null,
      hold: state?.hold ?? null,
      results: tables,
      rest: whole && restOf(whole),
    });
    return status;
  }
  print(
    `${number(plan.done)} of ${number(plan.items)} done, ${number(plan.failed)} failed, ${plan.cancelled === 0 ? '' : `${number(plan.cancelled)} cancelled, `}${counted(plan.spentCredits, 'credit')}.`,
  );
  if (left !== null) print(leftText(left));
  printTable(
    [
      ['results', readableUri(tables.csv)],
      ['', readableUri(tables.jsonl)],
    ],
    '  ',
  );
  print(advice(`Look at them with: ${reportCommand(batchId, place)}`));
  if (held !== null) say(advise(`Held. ${held.message} ${afterHold(held.action, again)}`));
  if (end.kind === 'ended' && end.seen.status !== 'COMPLETED') say(advice(endedText(end.seen.status, again)));
  if (end.kind === 'ended' && end.seen.status === 'COMPLETED' && rest === null && plan.remaining > 0)
    say(advice(`${counted(plan.remaining, 'item')} of the batch remain. Go on with: ${again}`));
  if (end.kind === 'gone' && plan.remaining > 0) say(goneText(end.problem, again));
  if (plan.failed + plan.cancelled > 0)
    say(advice(`What can be tried again, and what that would cost: ${commandOf('retry', place, batchId)}`));
  if (whole !== null && whole.remaining > 0) {
    const { from, to, unpriced } = whole.estimate;
    const price = range(number(from), number(to));
    const unknown = unpriced === 0 ? '' : `, and ${number(unpriced)} items whose price is not known`;
    const needed = Math.ceil(whole.spentCredits + from);
    const limit = settings.maxCredits !== null && needed > settings.maxCredits ? ` --max-credits ${needed}` : '';
    say(
      `The other ${number(whole.remaining)} will cost about ${price} credits${unknown}, by the prices that were paid so far. Run them with: ${rest}${limit}`,
    );
  }
  return status;
}

function restOf({ remaining, estimate }: Plan) {
  return { items: remaining, credits: estimate };
}

/** What was known last of the Workflow, however the command ends. */
function stateOf(end: BatchEnd): BatchState | null {
  if (end.kind === 'ended') return end.seen.state;
  return end.kind === 'gone' ? null : end.state;
}

/** Items that had been started and have not ended, for the head of the batch; null where there were none, or none is counted yet. */
function openOf(state: BatchState | null): (BatchHead['left'] & object) | null {
  const items = state?.counts.open ?? 0;
  return state === null || items === 0 ? null : { items, credits: state.committedCredits };
}

/** @param rest - As in `EndingWork`. */
function statusOf(end: BatchEnd, plan: Plan, rest: string | null): number {
  const lacks = plan.failed + plan.cancelled + (rest === null ? plan.remaining : 0);
  if (end.kind === 'held') return STATUS.held;
  if (end.kind === 'gone') return plan.remaining > 0 ? STATUS.unreachable : lacks > 0 ? STATUS.failed : STATUS.done;
  if (end.kind === 'ended' && end.seen.status !== 'COMPLETED') return STATUS.failed;
  return lacks > 0 ? STATUS.failed : STATUS.done;
}

function endedText(status: string, again: string): string {
  const how = status === 'CANCELLED' ? 'The batch was cancelled' : `The batch was ended in Temporal (${status})`;
  return `${how} before all items had ended. Nothing more is started; items that run go on, and are found and not paid again. Go on with: ${again}`;
}

function goneText(problem: Error | null, again: string): string {
  const { details = problem?.message } = (problem?.cause ?? {}) as { readonly details?: string };
  const why = details === undefined ? '' : ` (${details.replace(/\.$/, '')})`;
  return advice(
    `How the batch goes cannot be seen any more${why}. What has ended is in the tables, and is not paid again. Go on with: ${again}`,
  );
}

/** Why the batch is held: by itself, or because all that is left of it needs a person. */
function holdOf({ hold, counts }: BatchState, example: string): Pick<Hold, 'message' | 'action'> {
  if (hold !== null) return { message: hold.message, action: hold.action };
  const causes = Object.entries(counts.heldBy).map(([code, items]) => `${number(items)} ${code}`);
  const message = `${counted(counts.held, 'item')} held, and in need of a person: ${causes.join(', ')}.${example}`;
  const pages = Object.keys(counts.heldBy).map((code) => `rivya-temporal/docs/runbook.md#${code.toLowerCase()}`);
  return { message, action: `See ${pages.join(', ')}.` };
}

/** What ends a hold, with the command that goes on. A hold of the batch names `batch resume`, which starts all that remain. */
export function afterHold(action: string, again: string): string {
  if (action.includes('rivya-temporal batch ')) return action.replace(/rivya-temporal batch resume [\w.-]+/, again);
  return `${withoutResume(action)} Then go on with: ${again}`;
}
