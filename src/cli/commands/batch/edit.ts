import { changesBetween, earlierItems, withAdded, withDropped } from '../../../batch/input/change.js';
import { checkNames, readTemplate } from '../../../batch/input/names.js';
import { readBatchInput } from '../../../batch/input/read.js';
import type { BatchManifest } from '../../../contract/index.js';
import { InvalidInput } from '../../../policy/fields.js';
import { LIST_CHANGED } from '../../../policy/index.js';
import { refuseBesidePart, runPart } from '../../batch-again.js';
import { modelsOf } from '../../batch-api.js';
import { commandOf } from '../../batch-commands.js';
import { creditsOption, inputOptions, readDefaults, type InputOptions } from '../../batch-options.js';
import type { BatchPlace } from '../../batch-place.js';
import { mayGoOn, refuseOtherApi, refuseOverBudget, sayChanges } from '../../batch-plan.js';
import { number } from '../../batch-progress.js';
import { allowCredits, batchAt, connectPlace, type Running } from '../../batch-work.js';
import { STORE, type findBatch } from '../../batches.js';
import { STATUS, UsageError } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { print, printJson, say } from '../../output.js';
import { interruption } from '../../terminal.js';

type Options = InputOptions & Texts<'store'> & Flags<'yes' | 'json'> & { readonly maxCredits?: number };
type Found = Awaited<ReturnType<typeof findBatch>>;

/** `batch add` and `batch drop`. */
export const register: Register = (command) => {
  command.option(...STORE);
  if (command.name() === 'drop') {
    command.addHelpText('after', examples('batch drop spring a-red-fox-512acec21c3499ef'));
    return drop;
  }
  inputOptions(command)
    .option('--max-credits <n>', 'credits that all items together may cost, those that were there too', creditsOption)
    .option('--yes', 'do not ask; without a terminal a limit of credits is needed as well')
    .addHelpText('after', examples('batch add spring more.csv', 'batch add spring more.csv --model z-image'));
  return add;
};

async function add(options: Options, batchId = '', file = ''): Promise<number> {
  const { place, found } = await findIn(batchId, options);
  const { files, manifest, head } = found;
  const { models, whole, problem } = await modelsOf(place);
  if (problem !== null) say(problem);
  const input = await readBatchInput(file, {
    batchId,
    defaults: readDefaults(options),
    ...(options.encoding !== undefined && { encoding: options.encoding }),
    models,
    whole,
    api: place.api,
    earlier: await earlierItems(files),
  });
  const changed = await withAdded(files, manifest, input).catch((error: unknown) => {
    if (!(error instanceof InvalidInput)) throw error;
    throw new UsageError(`${file}: ${error.problem} Nothing was added and nothing was paid.`);
  });
  const { source, about } = changed;
  if (head.name !== null) await checkNames(readTemplate(head.name, about.columns), source());
  const changes = await changesBetween(files.items(manifest), source(), about.classes);
  sayChanges(changes, `With ${file}:`);
  const remaining = changes.new.items;
  if (remaining === 0) {
    report(options, batchId, manifest, 'The batch has all of these items already.');
    return STATUS.done;
  }
  const maxCredits = options.maxCredits ?? head.settings.maxCredits;
  const running = await runningAt(place, found);
  // An item is started only where all its attempts fit.
  const more = Math.max(0, ...about.classes.map(({ estimate, attempts = 1 }) => (attempts - 1) * (estimate ?? 0)));
  await refuseOverBudget(changes.estimate.from + more, found, maxCredits);
  const interrupted = interruption();
  if (!(await mayGoOn(options, { place, remaining, maxCredits, changes: null, interrupted }))) {
    if (interrupted.aborted) return STATUS.interrupted;
    throw new UsageError('Nothing was added and nothing was paid.');
  }
  const made = await files.writeManifest(source, about);
  if (running === null) {
    const without = new Set<string>();
    for await (const { id } of files.items(manifest)) without.add(id);
    const again = commandOf('resume', place, batchId);
    const now = { ...head, manifest: made.sha256 };
    const part = { manifest: made, listed: head.manifest, without, maxCredits: options.maxCredits };
    return runPart({ place, files, head: now, ...part, again, options, interrupted });
  }
  if (options.maxCredits !== undefined) await allowCredits(running, files, options.maxCredits);
  await setManifest(found, made, running);
  report(options, batchId, made, `${number(remaining)} added; the batch has ${number(made.items)} items now.`);
  return STATUS.done;
}

async function drop(options: Options, batchId = '', ...itemIds: string[]): Promise<number> {
  const { place, found } = await findIn(batchId, options);
  const { files, manifest } = found;
  const dropped = new Set(itemIds);
  const missing = new Set(dropped);
  for await (const { id } of files.items(manifest)) missing.delete(id);
  if (missing.size > 0) {
    throw new UsageError(`item-id: batch "${batchId}" has no item ${[...missing].join(', ')}. Nothing was changed.`);
  }
  if (dropped.size === manifest.items) {
    throw new UsageError(
      `item-id: these are all items of the batch. To end it: ${commandOf('cancel', place, batchId)}. Nothing was changed.`,
    );
  }
  const running = await runningAt(place, found);
  const changed = await withDropped(files, manifest, dropped);
  const made = await files.writeManifest(changed.source, changed.about);
  await setManifest(found, made, running);
  const says = `${number(dropped.size)} dropped; the batch has ${number(made.items)} items now. Those that were started are waited for while the batch runs, and keep what they make: the tables have it.`;
  report(options, batchId, made, says);
  return STATUS.done;
}

async function findIn(batchId: string, options: Options) {
  const one = await batchAt(batchId, options);
  refuseOtherApi(one.found.manifest, one.place);
  return one;
}

/** Null where the batch does not run. @throws UsageError where only some of its items do. */
async function runningAt(place: BatchPlace, found: Found): Promise<Running | null> {
  const running = await connectPlace(found.files.batchId, place);
  const seen = await running?.handle.look();
  if (seen?.isRunning !== true) return null;
  refuseBesidePart(seen, found);
  return running;
}

/** Of a batch that does not run, the next start goes on with the manifest. @throws UsageError where it has another one by now */
async function setManifest(
  { files, head: { manifest: from } }: Found,
  { sha256: manifest }: BatchManifest,
  running: Running | null,
): Promise<void> {
  if ((await files.head())?.manifest !== from) throw new UsageError(LIST_CHANGED);
  await running?.handle.request('setManifest', { manifest, from });
  await files.changeHead(() => ({ manifest }));
}

function report({ json = false }: Options, batchId: string, { items, sha256 }: BatchManifest, says: string): void {
  if (json) printJson({ batchId, items, manifest: sha256 });
  else print(says);
}
