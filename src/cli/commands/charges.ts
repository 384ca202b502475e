import { InvalidArgumentError, Option } from 'commander';
import { readSettings, type Settings } from '../../config.js';
import { TemporalUnreachable } from '../../temporal/connect.js';
import { chargesOf, groupsOf, timesOf, totalsOf, type Charge, type ChargedTask, type Totals } from '../charges.js';
import { openReceipts, openTemporal, retentionDays } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, since, type Register } from '../options.js';
import { csv, print, printJson, printTable, say, type Cell } from '../output.js';
import { notRead, recordsOfStore, recordsOfTemporal } from '../records.js';

const SOURCES = ['store', 'temporal'] as const;

interface Options {
  readonly since?: string;
  readonly from?: (typeof SOURCES)[number];
  readonly idPrefix?: string;
  readonly groupBy?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

type Columns = Readonly<Record<string, (charge: Charge, task: ChargedTask | null) => Cell>>;

/** What is told of a task, or (null) of a submit without an answer. */
const COLUMNS = {
  namespace: (charge) => charge.namespace,
  workflowId: (charge) => charge.workflowId,
  model: (charge) => charge.model,
  attempt: (_, task) => task?.attempt ?? null,
  idempotencyKey: ({ idempotencyKeys }, task) =>
    task === null ? (idempotencyKeys.at(-1) ?? null) : task.idempotencyKey,
  taskId: (_, task) => task?.taskId ?? null,
  status: (_, task) => task?.status ?? null,
  reservedCredits: (_, task) => task?.reservedCredits ?? null,
  // Until a task has ended, the API may say 0, which is no price.
  finalCredits: (_, task) => (task?.settled === true ? task.finalCredits : null),
  settled: (_, task) => task?.settled ?? null,
  createdAt: (_, task) => task?.createdAt ?? null,
  simulated: (_, task) => task?.simulated ?? null,
  unansweredSince: (charge, task) => (task === null ? charge.unansweredSince : null),
  flags: (charge) => charge.flags.map(({ code }) => code).join(' '),
  labels: (charge) => JSON.stringify(charge.labels),
} satisfies Columns;

/** Those of them that fit on a screen. */
const SHOWN = {
  'WORKFLOW ID': COLUMNS.workflowId,
  MODEL: COLUMNS.model,
  ATTEMPT: COLUMNS.attempt,
  TASK: COLUMNS.taskId,
  STATUS: (_, task) => (task === null ? 'no answer' : task.status),
  RESERVED: COLUMNS.reservedCredits,
  FINAL: COLUMNS.finalCredits,
  'CREATED (UTC)': (charge, task) =>
    (task?.createdAt ?? charge.unansweredSince)?.slice(0, 19).replace('T', ' ') ?? null,
  KEY: COLUMNS.idempotencyKey,
} satisfies Columns;

const SUMS = ['generations', 'tasks', 'reservedCredits', 'finalCredits', 'unsettledTasks', 'unknownCredits'] as const;
const HEADS = ['GENERATIONS', 'TASKS', 'RESERVED', 'FINAL', 'NOT SETTLED', 'NOT KNOWN'];

export const registerCharges: Register = (program, run) => {
  program
    .command('charges')
    .description('Show what was paid, for each generation: keys, attempts, tasks, credits, and what looks wrong.')
    .option('--since <date|duration>', 'only generations that were paid since, for example 2026-11-01 or 7d', since)
    .option('--id-prefix <text>', 'only Workflow IDs that begin so: a pipeline of yours with its steps')
    .addOption(new Option('--from <source>', 'what to read (default: the store, if there is one)').choices(SOURCES))
    .option('--group-by <label.name>', 'sums by the value of a label', labelName)
    .option('--json', 'print one JSON document')
    .addOption(new Option('--csv', 'print CSV: a line for each task').conflicts('json'))
    .addHelpText(
      'after',
      `${examples('charges --since 7d', 'charges --since 2026-11-01 --csv > november.csv', 'charges --group-by label.team')}

Exit status: 1 when something was paid twice, so that a scheduled job can raise an alarm; 5 when only something could not be read.`,
    )
    .action((options: Options) => run(() => charges(options)));
};

async function charges(options: Options): Promise<number> {
  const { since: from, from: asked, idPrefix = '', groupBy: label = '', json, csv: asCsv } = options;
  const settings = readSettings();
  const store = await openReceipts(settings);
  if (asked === 'store' && store === null)
    throw new UsageError('--from store: there is no store here. Set RIVYA_STORE.');
  const audit = await (asked === 'temporal' || store === null ? fromTemporal(settings) : fromStore(settings, store));
  const { source, oldest } = audit;
  const asks = ({ workflowId }: { workflowId: string | null }): boolean => workflowId?.startsWith(idPrefix) ?? true;
  const unread = audit.unread.filter(asks);
  // One whose time nobody knows is better seen once more than missed.
  const recent = (charge: Charge): boolean => from === undefined || (timesOf(charge).at(-1) ?? from) >= from;
  const shown = audit.charges.filter((charge) => asks(charge) && recent(charge));
  const totals = totalsOf(shown);
  const groups = label === '' ? null : groupsOf(shown, label);
  const notes = [...audit.covers, ...remarks(totals, shown)];
  if (unread.length > 0) notes.push(notRead(unread, 'What was paid in them is missing here.'));
  if (json) {
    const start = from !== undefined && from > (oldest ?? '') ? from : oldest;
    const period = { from: start, to: new Date().toISOString() };
    printJson({ source, period, notes, unread, totals, ...(groups && { label, groups }), generations: shown });
  } else if (asCsv) {
    process.stdout.write(csv(groups === null ? rowsOfTasks(shown, COLUMNS) : rowsOfGroups(label, groups, false)));
    for (const note of notes) say(note);
  } else {
    if (groups !== null) printTable(rowsOfGroups(label, groups, true));
    else if (shown.length > 0) printTable(rowsOfTasks(shown, SHOWN));
    for (const { workflowId, flags } of shown) for (const { message } of flags) print(`! ${workflowId}: ${message}`);
    for (const note of notes) print(note);
  }
  if (shown.some(({ flags }) => flags.some(({ code }) => code === 'paidTwice'))) return STATUS.failed;
  return unread.length > 0 ? STATUS.unread : STATUS.done;
}

async function fromStore(settings: Settings, found: NonNullable<Awaited<ReturnType<typeof openReceipts>>>) {
  const { receipts, store, baseUrl } = found;
  const { records, unread } = await recordsOfStore(receipts);
  let made = chargesOf(records);
  // Whoever took up a task by its ID did not know its key, so its receipt does not tell how it ended.
  if (totalsOf(made).unsettledTasks > 0) {
    const told = await fromTemporal(settings).catch((error: unknown) => {
      // The receipts stand without it, and the totals say what is not settled.
      if (error instanceof TemporalUnreachable) return null;
      throw error;
    });
    const tasks = told?.charges.flatMap((charge) => charge.tasks);
    made = chargesOf(records, tasks);
  }
  const oldest = made.flatMap(timesOf).toSorted()[0] ?? null;
  const covers = `From the receipts in ${store.address} for ${baseUrl}: ${oldest === null ? 'there are none' : `the oldest is of ${oldest}`}. What was made without this store is not in them.`;
  return { source: 'store', charges: made, oldest, unread, covers: [covers] };
}

async function fromTemporal(settings: Settings) {
  const temporal = await openTemporal(settings);
  const { records, oldest, unread } = await recordsOfTemporal(temporal.client);
  const days = await retentionDays(temporal);
  const kept = days === null ? 'only as long as the namespace keeps them' : `for ${days} days`;
  const covers = [
    `From Temporal, namespace ${temporal.namespace}: ${oldest === null ? 'there are no runs' : `the oldest run began at ${oldest}`}. Closed runs are kept ${kept}; older ones are gone.`,
    'The credits of failed earlier attempts are not known there. Workers with a store (RIVYA_STORE) keep receipts of all.',
  ];
  return { source: 'temporal', charges: chargesOf(records), oldest, unread, covers };
}

function labelName(text: string): string {
  const name = /^label\.(.+)$/.exec(text)?.[1];
  if (name === undefined) throw new InvalidArgumentError('It must be label.<name>, for example label.team.');
  return name;
}

/** What must be known to read the sums right. */
function remarks(totals: Totals, all: readonly Charge[]): string[] {
  const { generations, tasks, reservedCredits, finalCredits, unsettledTasks, unknownCredits } = totals;
  const sums = `${counted(generations, 'generation')}, ${counted(tasks, 'task')}: ${counted(finalCredits, 'credit')} final, ${reservedCredits} reserved.`;
  const notes = [sums];
  if (unsettledTasks > 0)
    notes.push(`Not settled: the final credits of ${counted(unsettledTasks, 'task')} not known to have ended.`);
  if (unknownCredits > 0) notes.push(`Not known: the final credits of ${counted(unknownCredits, 'task')} that ended.`);
  if (all.some((charge) => charge.tasks.some((task) => task.simulated === true)))
    notes.push('Simulated: the emulator answered, and nothing was paid.');
  return notes;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** A line for each task, and for each submit without an answer, also where a risk was accepted and no task came of it. */
function rowsOfTasks(all: readonly Charge[], columns: Columns): Cell[][] {
  const lines = all.flatMap((charge) => {
    const { tasks, unansweredSince } = charge;
    const open = tasks.length === 0 || unansweredSince !== null ? [null] : [];
    return [...tasks, ...open].map((task) => Object.values(columns).map((cell) => cell(charge, task)));
  });
  return [Object.keys(columns), ...lines];
}

function rowsOfGroups(label: string, groups: ReturnType<typeof groupsOf>, forPeople: boolean): Cell[][] {
  const head = forPeople ? [label.toUpperCase(), ...HEADS] : [label, ...SUMS];
  const missing = forPeople ? '(none)' : null;
  return [head, ...groups.map((group) => [group.value ?? missing, ...SUMS.map((name) => group[name])])];
}
