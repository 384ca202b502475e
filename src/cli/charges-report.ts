import type { Charge, ChargedTask, groupsOf, Totals } from './charges.js';
import type { Cell } from './output.js';

type Columns = Readonly<Record<string, (charge: Charge, task: ChargedTask | null) => Cell>>;

/** What must be known to read the sums right. */
export function remarks(totals: Totals, charges: readonly Charge[]): string[] {
  const { generations, tasks, reservedCredits, finalCredits, unsettledTasks, unknownCredits } = totals;
  const notes = [
    `${counted(generations, 'generation')}, ${counted(tasks, 'task')}: ${counted(finalCredits, 'credit')} final, ${reservedCredits} reserved.`,
  ];
  if (unsettledTasks > 0)
    notes.push(`Not settled: the final credits of ${counted(unsettledTasks, 'task')} not known to have ended.`);
  if (unknownCredits > 0) notes.push(`Not known: the final credits of ${counted(unknownCredits, 'task')} that ended.`);
  if (charges.some((charge) => charge.tasks.some((task) => task.simulated === true)))
    notes.push('Simulated: the emulator answered, and nothing was paid.');
  return notes;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** What is told of a task, or (null) of a submit without an answer. */
export const COLUMNS = {
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
export const SHOWN = {
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

/** A line for each task, and for each submit without an answer, also where a risk was accepted and no task came of it. */
export function rowsOfTasks(charges: readonly Charge[], columns: Columns): Cell[][] {
  const lines = charges.flatMap((charge) => {
    const { tasks, unansweredSince } = charge;
    const open = tasks.length === 0 || unansweredSince !== null ? [null] : [];
    return [...tasks, ...open].map((task) => Object.values(columns).map((cell) => cell(charge, task)));
  });
  return [Object.keys(columns), ...lines];
}

const SUMS = ['generations', 'tasks', 'reservedCredits', 'finalCredits', 'unsettledTasks', 'unknownCredits'] as const;
const HEADS = ['GENERATIONS', 'TASKS', 'RESERVED', 'FINAL', 'NOT SETTLED', 'NOT KNOWN'];

export function rowsOfGroups(label: string, groups: ReturnType<typeof groupsOf>, forPeople: boolean): Cell[][] {
  const head = forPeople ? [label.toUpperCase(), ...HEADS] : [label, ...SUMS];
  const missing = forPeople ? '(none)' : null;
  return [head, ...groups.map((group) => [group.value ?? missing, ...SUMS.map((name) => group[name])])];
}
