/** What `batch retry` can do for the items of a batch that did not succeed. */
import type { BatchManifest, BatchOutcome } from '../contract/batch.js';
import { FAILURE, withoutEnd } from '../contract/index.js';
import { retryKind, round } from '../policy/index.js';
import type { BatchRow } from './results.js';

/** Items of one error. */
export interface RetryGroup {
  readonly code: string;
  items: number;
  /** Credits that a new task for each of them is expected to cost. */
  credits: number;
  /** The message of the first of them. */
  readonly message: string;
}

export interface Retries {
  /** Items whose task has not failed, as far as is known: they are waited for again, which is free. */
  readonly wait: readonly BatchOutcome[];
  /** Items for which a new task may be bought, and the same by error. */
  readonly bought: readonly BatchOutcome[];
  readonly buy: readonly RetryGroup[];
  /** Items that would fail again. */
  readonly never: readonly RetryGroup[];
  /** Workflow IDs of items whose submit has no answer: their task may exist. */
  readonly unresolved: readonly string[];
}

export async function retriesOf(rows: AsyncIterable<BatchRow>, classes: BatchManifest['classes']): Promise<Retries> {
  const [wait, bought, unresolved]: [BatchOutcome[], BatchOutcome[], string[]] = [[], [], []];
  const [buy, never] = [new Map<string, RetryGroup>(), new Map<string, RetryGroup>()];
  for await (const { item, outcome, isGone = false } of rows) {
    if (isGone || outcome === null || outcome.status === 'succeeded' || outcome.status === 'skipped') continue;
    const kind = retryKind(outcome, item.input);
    const code = outcome.error?.code ?? outcome.status;
    if (kind === 'wait') wait.push(outcome);
    else if (kind === 'buy') {
      bought.push(outcome);
      add(buy, code, outcome, outcome.reservedCredits ?? classes[item.priceClass]?.estimate ?? 0);
    } else if (code === FAILURE.SubmitUnresolved) unresolved.push(outcome.workflowId);
    else add(never, code, outcome, 0);
  }
  const sorted = (groups: Map<string, RetryGroup>): RetryGroup[] =>
    [...groups.values()].toSorted((a, b) => b.items - a.items);
  return { wait, bought, buy: sorted(buy), never: sorted(never), unresolved };
}

function add(groups: Map<string, RetryGroup>, code: string, { error }: BatchOutcome, credits: number): void {
  const message = withoutEnd(error?.message ?? '', error?.action ?? '');
  const group = groups.get(code) ?? { code, items: 0, credits: 0, message };
  group.items += 1;
  group.credits = round(group.credits + credits);
  groups.set(code, group);
}
