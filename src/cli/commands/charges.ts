import { InvalidArgumentError, Option } from 'commander';
import { csv, type Cell } from '../../batch/csv.js';
import type { PaidTask } from '../key-records.js';
import { readSettings, type Settings } from '../../config.js';
import { TemporalUnreachable } from '../../temporal/connect.js';
import { chargesOf, groupsOf, timesOf, totalsOf, type Charge, type ChargedTask, type Totals } from '../charges.js';
import { openReceipts, openTemporal, retentionDays } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, since, type Flags, type Register, type Texts } from '../options.js';
import { print, printJson, printTable, say } from '../output.js';
import { notRead, recordsOfStore, recordsOfTemporal } from '../records.js';

const SOURCES = ['store', 'temporal'] as const;

type Options = Texts<'since' | 'from' | 'idPrefix' | 'groupBy'> & Flags<'json' | 'csv'>;

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

export const register: Register = (command) => {
  command
    .option('--since <date|duration>', 'only generations that were paid since, for example 2026-11-01 or 7d', since)
    .option('--id-prefix <text>', 'only Workflow IDs that begin so: a pipeline of yours with its steps')
    .addOption(new Option('--from <source>', 'what to read (default: the store, if there is one)').choices(SOURCES))
    .option('--group-by <label.name>', 'sums by the value of a label', labelName)
    .addOption(new Option('--csv', 'print CSV: a line for each task').conflicts('json'))
    .addHelpText(
      'after',
      `${examples('charges --since 7d', 'charges --since 2026-11-01 --csv > november.csv', 'charges --group-by label.team')}

Exit status: 1 when something was paid twice, so that a scheduled job can raise an alarm; 5 when only something could not be read.`,
    );
  return charges;
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
  // A generation without a known time is shown.
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
  // The receipt of a task that was waited for by its ID has no key, so nothing in the store says how the task ended.
  if (totalsOf(made).unsettledTasks > 0) made = chargesOf(records, await tasksInTemporal(settings));
  const oldest = made.flatMap(timesOf).toSorted()[0] ?? null;
  const covers = `From the receipts in ${store.address} for ${baseUrl}: ${oldest === null ? 'there are none' : `the oldest is of ${oldest}`}. What was made without this store is not in them.`;
  return { source: 'store', charges: made, oldest, unread, covers: [covers] };
}

/** None where Temporal cannot be reached: the receipts stand without it, and the totals say what is not settled. */
async function tasksInTemporal(settings: Settings): Promise<PaidTask[]> {
  try {
    const { client } = await openTemporal(settings);
    return (await recordsOfTemporal(client)).records.flatMap(({ answer }) => answer ?? []);
  } catch (error) {
    if (error instanceof TemporalUnreachable) return [];
    throw error;
  }
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
  const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
  const { reservedCredits, unsettledTasks: unsettled, unknownCredits: unknown } = totals;
  const [generations, tasks] = [counted(totals.generations, 'generation'), counted(totals.tasks, 'task')];
  const notes = [
    `${generations}, ${tasks}: ${counted(totals.finalCredits, 'credit')} final, ${reservedCredits} reserved.`,
  ];
  if (unsettled > 0)
    notes.push(`Not settled: the final credits of ${counted(unsettled, 'task')} not known to have ended.`);
  if (unknown > 0) notes.push(`Not known: the final credits of ${counted(unknown, 'task')} that ended.`);
  const isSimulated = all.some((charge) => charge.tasks.some((task) => task.simulated === true));
  return isSimulated ? [...notes, 'Simulated: the emulator answered, and nothing was paid.'] : notes;
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
  const sums = Object.keys(totalsOf([])) as (keyof Totals)[];
  const words = sums.map((name) => name.replaceAll(/[A-Z]/g, ' $&').toUpperCase());
  const head = forPeople ? [label.toUpperCase(), ...words] : [label, ...sums];
  const missing = forPeople ? '(none)' : null;
  return [head, ...groups.map((group) => [group.value ?? missing, ...sums.map((name) => group[name])])];
}
