import type { Charge, ChargedTask, groupsOf, Totals } from './charges.js';
import type { Cell } from './csv.js';

type Groups = ReturnType<typeof groupsOf>;

/** What must be known to read the sums right. */
export function remarks(totals: Totals, charges: readonly Charge[]): string[] {
  const { generations, tasks, reservedCredits, finalCredits, unsettledTasks, unknownCredits } = totals;
  const simulated = charges.some((charge) => charge.tasks.some((task) => task.simulated === true));
  const sums = `${counted(finalCredits, 'credit')} final, ${reservedCredits} reserved`;
  return [
    `${counted(generations, 'generation')}, ${counted(tasks, 'task')}: ${sums}.`,
    ...(unsettledTasks > 0
      ? [`Not settled: the final credits of ${counted(unsettledTasks, 'task')} not known to have ended.`]
      : []),
    ...(unknownCredits > 0 ? [`Not known: the final credits of ${counted(unknownCredits, 'task')} that ended.`] : []),
    ...(simulated ? ['Simulated: the emulator answered, and nothing was paid.'] : []),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** A line for each task, and for each submit without an answer. */
export function rowsOfTasks(charges: readonly Charge[]): string[][] {
  const head = ['WORKFLOW ID', 'MODEL', 'ATTEMPT', 'TASK', 'STATUS', 'RESERVED', 'FINAL', 'CREATED (UTC)', 'KEY'];
  const rows = charges.flatMap((charge) =>
    linesOf(charge).map((task) => [
      charge.workflowId,
      charge.model,
      String(task?.attempt ?? '-'),
      task?.taskId ?? '-',
      task?.status ?? 'no answer',
      String(task?.reservedCredits ?? '-'),
      String(task === null ? '-' : (finalOf(task) ?? '-')),
      (task?.createdAt ?? charge.unansweredSince ?? '-').slice(0, 19).replace('T', ' '),
      keyOf(task, charge) ?? '-',
    ]),
  );
  return [head, ...rows];
}

export function csvOfTasks(charges: readonly Charge[]): Cell[][] {
  const head = ['namespace', 'workflowId', 'model', 'attempt', 'idempotencyKey', 'taskId', 'status'];
  const more = [
    'reservedCredits',
    'finalCredits',
    'settled',
    'createdAt',
    'simulated',
    'unansweredSince',
    'flags',
    'labels',
  ];
  const rows = charges.flatMap((charge) =>
    linesOf(charge).map((task): Cell[] => [
      charge.namespace,
      charge.workflowId,
      charge.model,
      task?.attempt ?? null,
      keyOf(task, charge),
      task?.taskId ?? null,
      task?.status ?? null,
      task?.reservedCredits ?? null,
      task === null ? null : finalOf(task),
      task?.settled ?? null,
      task?.createdAt ?? null,
      task?.simulated ?? null,
      task === null ? charge.unansweredSince : null,
      charge.flags.map(({ code }) => code).join(' '),
      JSON.stringify(charge.labels),
    ]),
  );
  return [[...head, ...more], ...rows];
}

const SUMS = ['generations', 'tasks', 'reservedCredits', 'finalCredits', 'unsettledTasks', 'unknownCredits'] as const;

export function rowsOfGroups(label: string, groups: Groups): string[][] {
  const head = [label.toUpperCase(), 'GENERATIONS', 'TASKS', 'RESERVED', 'FINAL', 'NOT SETTLED', 'NOT KNOWN'];
  return [head, ...groups.map((group) => [group.value ?? '(none)', ...SUMS.map((name) => String(group[name]))])];
}

export function csvOfGroups(label: string, groups: Groups): Cell[][] {
  return [[label, ...SUMS], ...groups.map((group) => [group.value, ...SUMS.map((name) => group[name])])];
}

/** Its tasks, and null for a submit without an answer, or where a risk was accepted and no task came of it. */
function linesOf({ tasks, unansweredSince }: Charge): (ChargedTask | null)[] {
  return tasks.length === 0 || unansweredSince !== null ? [...tasks, null] : [...tasks];
}

function keyOf(task: ChargedTask | null, { idempotencyKeys }: Charge): string | null {
  return task === null ? (idempotencyKeys.at(-1) ?? null) : task.idempotencyKey;
}

/** Until a task has ended, the API may say 0, which is no price. */
function finalOf({ settled, finalCredits }: ChargedTask): number | null {
  return settled ? finalCredits : null;
}
