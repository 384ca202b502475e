/** The words about a batch: for the current details in the Temporal UI, and for its requests. */
import { errorCodeRow, FAILURE } from '../contract/index.js';
import type { BatchItem, BatchOutcome, BatchRequests, BatchState } from '../contract/index.js';
import { retryKind, round, timeLeft } from './batch.js';
import { formatRange } from './duration.js';
import { needsOperator } from './hold.js';

/** The descriptions of the query and the requests in the Temporal UI. */
export const BATCH_TEXTS: Readonly<Record<keyof BatchRequests | 'query', string>> = {
  query: 'State: phase, counts, credits, rate, hold.',
  pause: 'Start nothing more until resume. Items that run go on. No argument.',
  resume: 'Go on after pause or a hold. It accepts the failures and the prices that were seen so far. No argument.',
  setMaxInFlight: 'How many items may run at the same time: {"maxInFlight": 50}, 1 to 1,000.',
  setMaxCredits: 'Credits that all items together may cost: {"maxCredits": 1000}, or null for any number.',
  retryItem:
    'Start an item again that has ended: {"itemId": "…"}. It waits for its task, or pays for another where that failed.',
  skipItem: 'Never start an item: {"itemId": "…"}. An item that runs or has ended stays as it is.',
  setManifest:
    'Go on with another manifest of the store: {"manifest": "<SHA-256>"}. Items that ended or run are not started again.',
};

// What these name, a person changes before another try.
const MENDED_FIRST: ReadonlySet<string> = new Set([
  FAILURE.InvalidInput,
  FAILURE.PolicyDenied,
  FAILURE.ReferenceUnavailable,
]);

/** Why a change of the list of a batch is refused that was made from another list. */
export const LIST_CHANGED =
  'The batch has another list of items than the one that this was made from: another command has changed it, or runs some of its items alone. The list stays as it is, and nothing was paid. See how it goes with rivya-temporal batch status, then use the same command again.';

/** The answers of the requests: what is done, and what it costs. */
export const BATCH_ANSWERS: { readonly [Name in keyof BatchRequests]: (argument: BatchRequests[Name]) => string } = {
  pause: () => 'Paused: nothing more is started. Items that run go on.',
  resume: () => 'Resumed.',
  setMaxInFlight: ({ maxInFlight }) => `At most ${maxInFlight} items run at the same time from now on.`,
  setMaxCredits: ({ maxCredits }) =>
    maxCredits === null ? 'The budget is lifted.' : `All items together may cost ${maxCredits} credits.`,
  retryItem: ({ itemId }) =>
    `Item ${itemId} is started again at the next look, if the batch has it and that can change how it ended.`,
  skipItem: ({ itemId }) =>
    `Item ${itemId} is skipped, unless it has been started or the batch has no item of this ID.`,
  setManifest: () => 'The batch goes on with this manifest. Items that ended or run are not started again.',
};

/** The state of a batch at a time as Markdown, for the current details in the Temporal UI. */
export function describeBatch(state: BatchState, title: string, now: number): string {
  const { counts, settings, hold, spentCredits, committedCredits, perMinute: rate, simulated } = state;
  const { items, succeeded, failed, cancelled, skipped, open, held } = counts;
  const left = timeLeft(state, now);
  const lines = [`**${headline(state)}**`, '', title, ''];
  if (simulated) lines.push('*Simulated: the emulator answers, nothing is paid.*', '');
  if (hold !== null) {
    lines.push(hold.message, '', `**What to do:** ${hold.action}`, '', `Held since ${hold.since}.`, '');
  }
  const pricing = pricingOf(state);
  if (pricing !== null) lines.push(`It ${pricing}: one item of each kind runs first, the others once it is known.`, '');
  const rows: [string, string][] = [
    ['Done', `${succeeded} of ${items}`],
    ['Running', `${open - held}`],
    ['Held', `${held}${listOf(counts.heldBy)}`],
    ['Failed', `${failed}${listOf(counts.failedBy)}`],
    ['Cancelled, skipped', `${cancelled}, ${skipped}`],
    ['Credits spent', `${round(spentCredits)}`],
    ['Limit of credits', `${settings.maxCredits ?? 'none'}`],
    ['Credits of items that run', `${round(committedCredits)} at most`],
    ['Ended a minute', `${Math.round(rate * 10) / 10}`],
    ['Time left', left === null ? 'not known yet' : formatRange(left)],
  ];
  lines.push('| | |', '| --- | --- |', ...rows.map(([name, value]) => `| ${name} | ${value} |`));
  return lines.join('\n');
}

/** For what price a batch waits, after `it`; null for none. */
export function pricingOf({ pricing = [] }: Pick<BatchState, 'pricing'>): string | null {
  return pricing.length === 0 ? null : `waits for the price of ${pricing.join(', ')}`;
}

function listOf(counts: Readonly<Record<string, number>>): string {
  const codes = Object.entries(counts).map(([code, count]) => `${count} ${code}`);
  return codes.length === 0 ? '' : ` (${codes.join(', ')})`;
}

function headline({ phase, hold }: BatchState): string {
  const headlines: Readonly<Record<BatchState['phase'], string>> = {
    running: 'Running.',
    paused: 'Paused: nothing is started until it is resumed.',
    held: `Held: nothing is started (${hold?.code ?? 'unknown'}).`,
    done: 'Done.',
    cancelled: 'Cancelled: nothing more is started. Items that run go on.',
  };
  return headlines[phase];
}

/**
 * What a person does about an item that did not succeed; null where it ended without an error.
 * @param retry - The command that tries items of its batch again.
 */
export function itemAdvice(
  { error, ...outcome }: BatchOutcome,
  input: BatchItem['input'],
  retry: string,
): string | null {
  if (error === null) return null;
  const { code, action } = error;
  const kind = retryKind({ ...outcome, error }, input);
  if (kind === null) return action ?? errorCodeRow(code, null).action;
  if (kind === 'wait') return `Its task has not failed. Wait for it again, which is free: ${retry}`;
  if (outcome.taskId !== null) return `For another try, which pays for a new task: ${retry}`;
  if (needsOperator(code)) return `${errorCodeRow(code, null).action.replace(/, then resume\.$/, '')}, then: ${retry}`;
  return `${MENDED_FIRST.has(code) && action !== null ? `${action} ` : ''}To start it again: ${retry}`;
}
