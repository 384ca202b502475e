import { BatchFiles, type BatchHead } from '../../../batch/files.js';
import { changesBetween, earlierItems, manifestOfSource, type Changes } from '../../../batch/input/change.js';
import { checkNames, readTemplate } from '../../../batch/input/names.js';
import { readBatchInput, sourceDigest } from '../../../batch/input/read.js';
import { planOf } from '../../../batch/plan.js';
import { rowsOfItems } from '../../../batch/results.js';
import type { BatchItem, BatchManifest, BatchSettings } from '../../../contract/index.js';
import {
  creditsOption,
  FIRST,
  failuresOption,
  IN_FLIGHT,
  inputOptions,
  readBatchId,
  readDefaults,
  type InputOptions,
} from '../../batch-options.js';
import { placeOf, refuseSecondRun } from '../../batch-place.js';
import { documentOf, mayGoOn, refuseOtherApi, refuseSmallBudget, sayPlan } from '../../batch-plan.js';
import { work } from '../../batch-work.js';
import { commandOf } from '../../batch-commands.js';
import { balanceOf, modelsOf } from '../../batch-api.js';
import { STORE } from '../../batches.js';
import { STATUS, UsageError } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { printJson, say } from '../../output.js';
import { interruption } from '../../terminal.js';

type Options = InputOptions &
  Texts<'id' | 'store' | 'name' | 'maxFailures'> &
  Flags<'yes' | 'dryRun' | 'json'> & {
    readonly first?: number;
    readonly maxCredits?: number;
    readonly maxInFlight?: number;
  };

const DEFAULTS = { maxInFlight: 50, maxCredits: null, maxFailures: null } as const;

export const register: Register = (command) => {
  command
    .option('--id <batch-id>', 'name of the batch (default: the name of the file); the same one goes on with it')
    .option(...STORE)
    .option('--first <n>', 'run only the first n items, then say what the rest will cost', FIRST)
    .option('--max-credits <n>', 'credits that all items together may cost', creditsOption)
    .option('--max-in-flight <n>', 'items that may be open at the same time (default 50)', IN_FLIGHT)
    .option('--max-failures <n|share%>', 'hold at so many failed items, as 100 or 20%', failuresOption)
    .option('--name <template>', 'names of downloaded files from columns, as "{sku}-{n}"')
    .option('--dry-run', 'only check the file, and say what it will cost')
    .option('--yes', 'do not ask; without a terminal --max-credits is needed as well');
  inputOptions(command).addHelpText(
    'after',
    `${examples(
      'batch run prompts.csv --first 10',
      'batch run prompts.csv --max-credits 25000',
      'batch run prompts.jsonl --id spring --store file:./out --model z-image --yes --max-credits 500',
    )}

The file is a table (CSV, TSV) with a first line of column names such as model, prompt, params.duration, reference,
label.shop and repeat, or has one JSON object on each line. It is checked as a whole before anything is paid.

Each item is paid once. After Ctrl-C, a crash or a reboot the same command goes on, and pays nothing again. Without
TEMPORAL_ADDRESS and without "rivya-temporal dev", it starts Temporal and a Worker for itself, and stops them at the end.`,
  );
  return run;
};

/** The items that the command is about: those of a manifest, or of a file that has none yet. */
interface Subject {
  readonly classes: BatchManifest['classes'];
  readonly columns: readonly string[];
  readonly items: () => AsyncIterable<BatchItem>;
  /** Null where the batch has these items already. */
  readonly changes: Changes | null;
  /** The manifest of the items; written where the store has none yet. */
  readonly manifest: () => Promise<BatchManifest>;
}

async function run(options: Options, file = ''): Promise<number> {
  const { json = false, dryRun = false, first = null } = options;
  const batchId = readBatchId(options.id, file);
  const defaults = readDefaults(options);
  const place = await placeOf(batchId, options);
  const files = new BatchFiles(place.store, batchId);
  const head = await files.head();
  const current = head === null ? null : await files.manifest(head.manifest);
  if (current !== null) refuseOtherApi(current, place);
  const settings = settingsOf(options, head);
  const list = await modelsOf(place);
  const subject = await subjectOf(file, files, current, {
    batchId,
    defaults,
    ...(options.encoding !== undefined && { encoding: options.encoding }),
    models: list.models,
    whole: list.whole,
    api: place.api,
  });
  const name = options.name ?? head?.name ?? null;
  if (name !== null) await checkNames(readTemplate(name, subject.columns), subject.items());
  const plan = await planOf(rowsOfItems(files, subject.items()), { classes: subject.classes, first });
  // A limit of before keeps nobody from waiting for what is under way: the batch holds where it lets nothing more start.
  if (options.maxCredits !== undefined) refuseSmallBudget(plan, settings);

  const balance = await balanceOf(place);
  const shown = {
    batchId,
    place,
    plan,
    settings,
    changes: subject.changes,
    balance,
    left: head?.left,
    ...list,
    dryRun: dryRun && !json,
  };
  if (json && dryRun) printJson(documentOf(shown));
  else sayPlan(shown);
  if (dryRun) {
    say('Nothing was started and nothing was paid: this is a dry run.');
    return STATUS.done;
  }
  const interrupted = interruption();
  if (!(await mayGoOn(options, { place, ...plan, ...settings, changes: subject.changes, interrupted }))) {
    if (interrupted.aborted) return STATUS.interrupted;
    throw new UsageError('Nothing was started and nothing was paid.');
  }
  await refuseSecondRun(place);
  const manifest = await subject.manifest();
  const { first: _, ...kept } = settings;
  const now = balance === null ? null : { at: new Date().toISOString(), credits: balance };
  const written: BatchHead = {
    version: 1,
    manifest: manifest.sha256,
    settings: kept,
    name,
    balance: head?.balance ?? (now === null ? null : { before: now, last: now }),
  };
  // It needs none of the options that have made the items.
  const again = commandOf('resume', place, batchId);
  const getBalance = (): Promise<number | null> => balanceOf(place);
  return work({
    place,
    files,
    manifest,
    settings,
    given: {
      ...(options.maxCredits !== undefined && { maxCredits: options.maxCredits }),
      ...(options.maxInFlight !== undefined && { maxInFlight: options.maxInFlight }),
    },
    done: plan.done,
    head: written,
    listed: head?.manifest ?? null,
    json,
    interrupted,
    resume: false,
    again,
    rest: first === null ? null : again,
    balance: getBalance,
  });
}

type InputOf = Parameters<typeof readBatchInput>[1];

async function subjectOf(
  file: string,
  files: BatchFiles,
  current: BatchManifest | null,
  input: InputOf,
): Promise<Subject> {
  const known = await manifestOfSource(files, await sourceDigest(file, input), current);
  const subject = known === null ? await newSubject(file, files, input) : subjectOfManifest(files, known);
  if (current === null || known?.sha256 === current.sha256) return subject;
  const changes = await changesBetween(files.items(current), subject.items(), subject.classes);
  const isSame = changes.new.items + changes.changed.items + changes.gone.items === 0;
  return { ...subject, changes: isSame ? null : changes };
}

function subjectOfManifest(files: BatchFiles, manifest: BatchManifest): Subject {
  const { classes, columns } = manifest;
  return { classes, columns, items: () => files.items(manifest), changes: null, manifest: async () => manifest };
}

async function newSubject(file: string, files: BatchFiles, input: InputOf): Promise<Subject> {
  const { source, about } = await readBatchInput(file, { ...input, earlier: await earlierItems(files) });
  const { classes, columns } = about;
  return { classes, columns, items: source, changes: null, manifest: () => files.writeManifest(source, about) };
}

/** Settings that are not given stay as they were at the last start; `--first` counts for one start. */
function settingsOf({ first, maxCredits, maxInFlight, maxFailures }: Options, head: BatchHead | null): BatchSettings {
  const was = head?.settings ?? DEFAULTS;
  return {
    first: first ?? null,
    maxCredits: maxCredits ?? was.maxCredits,
    maxInFlight: maxInFlight ?? was.maxInFlight,
    maxFailures: maxFailures ?? was.maxFailures,
  };
}
