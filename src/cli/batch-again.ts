/** A batch that goes on without its file: with all items that remain, or with some of them and no others. */
import type { BatchFiles, BatchHead } from '../batch/files.js';
import { withDropped } from '../batch/input/change.js';
import { planOf } from '../batch/plan.js';
import { rowsOf } from '../batch/results.js';
import type { BatchManifest } from '../contract/index.js';
import { LIST_CHANGED } from '../policy/index.js';
import { balanceOf, modelsOf } from './batch-api.js';
import { commandOf } from './batch-commands.js';
import { refuseSecondRun, type BatchPlace } from './batch-place.js';
import { mayGoOn, refuseOtherApi, refuseSmallBudget, sayPlan } from './batch-plan.js';
import type { SeenBatch } from './batch-handle.js';
import { work } from './batch-work.js';
import type { findBatch } from './batches.js';
import { STATUS, UsageError } from './errors.js';
import type { Flags } from './options.js';
import { say } from './output.js';

interface Again {
  readonly place: BatchPlace;
  readonly found: Pick<Awaited<ReturnType<typeof findBatch>>, 'files' | 'head' | 'manifest'>;
  readonly maxCredits?: number | undefined;
  readonly options: Flags<'yes' | 'json'>;
  readonly interrupted: AbortSignal;
}

/** Says what the rest costs, asks, and runs the batch to its end. Returns the exit status. */
export async function goOn({ place, found, options, interrupted, ...more }: Again): Promise<number> {
  const { files, head, manifest } = found;
  const { batchId } = files;
  refuseOtherApi(manifest, place);
  const settings = { ...head.settings, maxCredits: more.maxCredits ?? head.settings.maxCredits, first: null };
  const plan = await planOf(rowsOf(files, manifest), { classes: manifest.classes, first: null });
  // A limit of before keeps nobody from waiting for what is under way: the batch holds where it lets nothing more start.
  if (more.maxCredits !== undefined) refuseSmallBudget(plan, settings);
  const [list, balance] = await Promise.all([modelsOf(place), balanceOf(place)]);
  sayPlan({ batchId, place, plan, settings, changes: null, balance, left: head.left, ...list });
  if (plan.remaining > 0) say('All that remain are started: a --first of another start counts for that one only.');
  if (!(await mayGoOn(options, { place, ...plan, ...settings, changes: null, interrupted }))) {
    if (interrupted.aborted) return STATUS.interrupted;
    throw new UsageError('Nothing was started and nothing was paid.');
  }
  await refuseSecondRun(place);
  const { first: _, ...kept } = settings;
  return work({
    place,
    files,
    manifest,
    settings,
    given: more.maxCredits === undefined ? {} : { maxCredits: more.maxCredits },
    done: plan.done,
    head: { ...head, settings: kept },
    listed: head.manifest,
    json: options.json === true,
    interrupted,
    resume: true,
    again: commandOf('resume', place, batchId),
    rest: null,
    balance: () => balanceOf(place),
  });
}

interface Part extends Omit<Again, 'found'> {
  readonly files: BatchFiles;
  /** Of the whole batch, as it is from now on. */
  readonly head: BatchHead;
  /** As in `Work`. */
  readonly listed: string;
  readonly manifest: BatchManifest;
  /** IDs of the items that are not started. */
  readonly without: ReadonlySet<string>;
  /** The command that goes on with these items. */
  readonly again: string;
}

/**
 * Runs those items to their end to which a person has consented, and no others, though more of the batch may remain: they are
 * a manifest of their own, and the batch keeps its own. Returns the exit status.
 */
export async function runPart({ place, files, manifest, listed, without, again, options, interrupted, ...more }: Part) {
  await refuseSecondRun(place);
  const { source, about } = await withDropped(files, manifest, without);
  const part = await files.writeManifest(source, about);
  const { maxCredits = more.head.settings.maxCredits } = more;
  const head: BatchHead = { ...more.head, settings: { ...more.head.settings, maxCredits } };
  return work({
    place,
    files,
    manifest: part,
    // A share of the failures of some items says nothing of the batch.
    settings: { ...head.settings, maxFailures: null, first: null },
    given: more.maxCredits === undefined ? {} : { maxCredits: more.maxCredits },
    done: 0,
    head,
    listed,
    json: options.json === true,
    interrupted,
    resume: true,
    again,
    rest: commandOf('resume', place, files.batchId),
    balance: () => balanceOf(place),
  });
}

/** @throws UsageError where only some of the items run: a change would start all others with them. */
export function refuseBesidePart({ state }: SeenBatch, { head }: Pick<Again['found'], 'head'>): void {
  if (state !== null && state.manifest !== head.manifest) throw new UsageError(LIST_CHANGED);
}
