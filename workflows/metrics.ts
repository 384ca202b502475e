/**
 * The metrics of paid calls and batches that Workflows count. Nothing is counted again on replay; a Workflow Task that is
 * repeated may count twice, so receipts are the truth about money. `Progress`, `GenerationRun`, `submit` and `BatchRun`
 * call it. docs/monitoring.md lists them. Deterministic.
 */
import { ApplicationFailure, metricMeter } from '@temporalio/workflow';
import type { BatchState, GenerationState, StoredFile, TaskSnapshot } from '../src/contract/index.js';
import { METRIC_HELP, METRICS } from '../src/contract/index.js';

/** One paid call was accepted: the API made a task or an answer for it. */
export function countPaid(model: string, reservedCredits: number | null): void {
  count(METRICS.paid, 1, { model });
  if (reservedCredits !== null) observe(METRICS.creditsReserved, reservedCredits, { model });
}

/** One generation or chat has ended, perhaps by a failure. */
export function countEnd({ model, phase, finalCredits }: GenerationState, failure?: unknown): void {
  const code = failure instanceof ApplicationFailure ? (failure.type ?? 'unknown') : 'none';
  count(METRICS.ended, 1, { model, outcome: phase, code });
  if (finalCredits !== null) observe(METRICS.creditsFinal, finalCredits, { model });
}

export function countHold(model: string, code: string): void {
  count(METRICS.holds, 1, { model, code });
}

/** The bytes of a result, and the seconds from its first POST, which is null where an earlier run has made it. */
export function countResult(model: string, files: readonly StoredFile[], firstPostedAt: number | null): void {
  if (firstPostedAt !== null) observe(METRICS.timeToResult, seconds(Date.now() - firstPostedAt), { model });
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  count(METRICS.bytes, bytes, { model });
}

/** Seconds from the end of a task to the check that saw it first. */
export function countLag(model: string, { updatedAt, askedAt }: TaskSnapshot): void {
  if (updatedAt === null || askedAt === undefined) return;
  observe(METRICS.lag, seconds(askedAt - Date.parse(updatedAt)), { model });
}

/** The items of a batch by what became of them. */
export function showBatch(
  batch: string,
  { items: _all, failedBy: _failed, heldBy: _held, ...counts }: BatchState['counts'],
): void {
  const gauge = metricMeter.createGauge(METRICS.batchItems, 'int', '', METRIC_HELP[METRICS.batchItems]);
  for (const [state, value] of Object.entries(counts)) gauge.set(value, { batch, state });
}

type Tags = Readonly<Record<string, string>>;
type Metric = keyof typeof METRIC_HELP;

function count(name: Metric, value: number, tags: Tags): void {
  if (value > 0) metricMeter.createCounter(name, '', METRIC_HELP[name]).add(value, tags);
}

// A histogram, also for what is only summed up: a counter takes no fractions, and credits can be some.
function observe(name: Metric, value: number, tags: Tags): void {
  metricMeter.createHistogram(name, 'float', '', METRIC_HELP[name]).record(value, tags);
}

// Two clocks may disagree: less than nothing is nothing.
function seconds(ms: number): number {
  return Math.max(0, ms) / 1_000;
}
