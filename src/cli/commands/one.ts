import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { memoOf, type GenerationHandle } from '../../client.js';
import { CHAT_WORKFLOW_TYPE, isOpen, type Duration } from '../../contract/index.js';
import { expectedText, InvalidInput, money, readDeadline } from '../../policy/index.js';
import { delayOf, failingTaskProblem, workflowTaskProblem } from '../../temporal/pending.js';
import { unpolled } from '../../temporal/pollers.js';
import { askWhetherOver } from '../account-handle.js';
import { bulk, isBulk, type BulkOptions } from '../bulk.js';
import { findGeneration, findWorkflow, openTemporal, type Temporal } from '../context.js';
import { openOutput } from '../copies.js';
import { advice, commands } from '../advice.js';
import { heldHere, holdText, STATUS, UsageError } from '../errors.js';
import { endingOf, followAndReport, isFull, resumeHint } from '../follow.js';
import { workflowLink } from '../../temporal/links.js';
import { examples, OUTPUT, type Register } from '../options.js';
import { print, printFacts, printJson, quoted } from '../output.js';
import { printRows, rowOf, rowsOf, stateOf, stepsOf } from '../rows.js';
import { supportText } from '../support.js';
import { interruption } from '../terminal.js';

const NO_WORKER = 'No Worker answers, so it waits as a Signal until one does. Start one with: rivya-temporal worker';
// A Worker ends a Workflow at once, unless a POST is under way: that is never broken off.
const CANCEL_MS = 5_000;
// As many steps as a message can name.
const NAMED = 20;
const ACTS = { status, wait, resume, 'check-now': checkNow, 'change-deadline': changeDeadline, cancel };

/** The commands about one generation: `status`, `wait`, `resume`, `check-now`, `change-deadline`, `cancel`; some also for many. */
export const register: Register = (command) => {
  const name = command.name() as keyof typeof ACTS;
  const step = name === 'resume' ? ' --step hero' : '/hero';
  command.addHelpText(
    'after',
    name === 'change-deadline'
      ? examples(`${name} my-video --to 12h`)
      : examples(`${name} my-video`, `${name} film-1${step}`),
  );
  const forOne = async (options: BulkOptions, id = '') => ACTS[name](await openTemporal(), id, options);
  if (name === 'wait') command.option(OUTPUT, 'copy the files out of the store into this folder');
  if (name === 'status')
    command.option('--support', 'print what the support of the API needs, without prompt, link or key');
  if (name === 'change-deadline')
    command.option('--to <duration>', 'the deadline, as 12h, counted from the first submit');
  if (name === 'status' || name === 'wait' || name === 'change-deadline') return forOne;
  command
    .option('--query <visibility query>', 'all that it finds, instead of one; asks before it acts')
    .option('--yes', 'with --query: do not ask');
  if (name === 'resume') {
    command
      .option('--step <step>', 'which step of the Workflow; needed where several are held')
      .option('--task-id <id>', 'after an unanswered submit: its task, found in the Rivya Studio')
      .option('--reason <text>', 'after an unanswered submit: post again, although a task may exist and be paid twice')
      .option('--store-as-is', 'store a result that is no image, video or audio, but what was ordered');
  }
  return (options: BulkOptions, id) => (isBulk(id, options) ? bulk(name, options) : forOne(options, id));
};

async function resume(temporal: Temporal, id: string, options: BulkOptions): Promise<number> {
  const { step, json, taskId, reason, storeAsIs } = options;
  const { handle, description } = await heldGeneration(temporal, id, step);
  await askWhetherOver(temporal, [memoOf(description)?.hold?.code ?? null]);
  const { workflowId } = handle;
  const input = { ...(taskId && { taskId }), ...(reason && { reason }), ...(storeAsIs && { storeAsIs }) };
  const applied = (await handle.resume(input)) === 'resumed';
  const next = `Resumed. Wait for it with: rivya-temporal wait ${quoted(workflowId)}`;
  return printOutcome(workflowId, json, applied, applied ? next : await waitsText(temporal, handle));
}

/** Why a request waits in Temporal, and what ends that. */
async function waitsText({ client }: Temporal, handle: GenerationHandle): Promise<string> {
  const problem = await failingTaskProblem(client, await handle.describe());
  return problem === null ? NO_WORKER : `It waits as a Signal until the Workflow goes on: ${problem}.`;
}

/** The generation or chat itself, the step of that name, or the only step that is held. @throws UsageError */
async function heldGeneration(temporal: Temporal, workflowId: string, name?: string) {
  const found = name === undefined ? await findWorkflow(temporal, workflowId) : null;
  if (found?.isPaid === true) return found;
  const steps = await stepsOf(temporal.client, workflowId);
  const meant = steps.filter((run) => (name === undefined ? stateOf(run) === 'held' : run.step === name));
  const [only, another] = meant;
  if (only !== undefined && another === undefined) return findGeneration(temporal, only.workflowId);
  const several = `has several steps that are held. Choose: rivya-temporal resume ${quoted(workflowId)} --step <step>`;
  const none = name === undefined ? 'has no step that is held' : `has no step "${name}" (--step)`;
  const problem = only === undefined ? none : several;
  const names = (only === undefined ? steps : meant).slice(0, NAMED).map((run) => `${run.step} (${stateOf(run)})`);
  throw new UsageError(`"${workflowId}" ${problem}. Its steps: ${names.join(', ') || 'none'}.`);
}

async function checkNow(temporal: Temporal, id: string, { json }: BulkOptions): Promise<number> {
  const { handle } = await findGeneration(temporal, id);
  const { phase = 'waiting' } = (await handle.state()) ?? {};
  if (phase !== 'waiting') throw new UsageError(`"${id}" waits for no check (it is ${phase}): nothing was sent.`);
  const applied = (await handle.checkNow()) === 'resumed';
  const next = 'The status is checked as soon as the last check is 5 s old.';
  return printOutcome(id, json, applied, applied ? next : await waitsText(temporal, handle));
}

async function changeDeadline(temporal: Temporal, id: string, { json, to }: BulkOptions): Promise<number> {
  if (!to) throw new UsageError('--to: is missing, for example --to 12h. Nothing was changed.');
  const { handle, description } = await findGeneration(temporal, id);
  if (description.type === CHAT_WORKFLOW_TYPE)
    throw new UsageError(`"${id}" is a chat, which has no deadline. Nothing was changed.`);
  if (!isDeadline(to))
    throw new UsageError(`--to: must be from 1 s to 30 d, as 90s, 45m or 12h. Nothing was changed; "${id}" goes on.`);
  const applied = (await handle.changeDeadline(to as Duration)) === 'resumed';
  const next = `The deadline is ${to} after the first submit, holds left out. Where it waits for the task, the status is checked now; where that deadline has passed, nobody waits any longer, and the task goes on and is paid.`;
  return printOutcome(id, json, applied, applied ? next : await waitsText(temporal, handle));
}

function isDeadline(deadline: string): boolean {
  try {
    return readDeadline({ deadline }) > 0;
  } catch (error) {
    if (error instanceof InvalidInput) return false;
    throw error;
  }
}

async function cancel(temporal: Temporal, id: string, { json }: BulkOptions): Promise<number> {
  const { handle, description } = await findGeneration(temporal, id);
  const look = `Look with: rivya-temporal status ${quoted(id)}`;
  const ended = (how: string): UsageError =>
    new UsageError(`"${id}" had ended before (${how}): nothing was cancelled. ${look}`);
  if (!isOpen(description.status.name)) throw ended(description.status.name.toLowerCase());
  await handle.cancel();
  const ending = await Promise.race([endingOf(handle), sleep(CANCEL_MS, null)]);
  if (ending === null) {
    const { reason = 'a submit that is under way is waited for' } =
      (await delayOf(temporal.client, await handle.describe())) ?? {};
    const requested = `The cancel is requested and has not taken effect yet: ${reason.replace(/\.$/, '')}. ${look}`;
    return printOutcome(id, json, false, requested);
  }
  const { code = 'completed', details } = ending.kind === 'failure' ? ending.error : {};
  if (code !== 'Cancelled') throw ended(code);
  return printOutcome(id, json, true, `Cancelled. ${details?.action ?? ''}`.trimEnd());
}

/** @param applied - False where the request waits in Temporal. */
function printOutcome(workflowId: string, json = false, applied: boolean, message: string): number {
  const says = advice(message);
  if (json) printJson({ workflowId, applied, message: says });
  else print(says);
  return STATUS.done;
}

async function status(temporal: Temporal, workflowId: string, { json, support }: BulkOptions): Promise<number> {
  const { client } = temporal;
  const { handle, description, isPaid } = await findWorkflow(temporal, workflowId);
  if (support === true && !isPaid)
    throw new UsageError('--support: is for one generation or chat, so name one, as film-1/hero.');
  if (!isPaid) return statusOfSteps(temporal, description, json);
  if (support === true) {
    print(await supportText(client, description));
    return STATUS.done;
  }
  const row = await rowOf(client, { ...description, paid: memoOf(description) });
  const open = isOpen(row.workflowStatus);
  // A Workflow that has ended wrote its last word into the memo.
  const known = open ? await handle.state() : memoOf(description);
  const state = known && heldHere(known);
  const noWorker = open ? (await unpolled(client, description.taskQueue)).map((sentence) => commands(sentence)) : [];
  const source = isFull(state) ? 'query' : 'memo';
  if (json) {
    printJson({ ...row, source, noWorker, ...state });
    return STATUS.done;
  }
  const problem = open ? await workflowTaskProblem(client, description) : null;
  const silent = problem === null && open ? ': no Worker answers' : '';
  const from = source === 'query' ? 'a Worker answered' : `from the memo${silent}`;
  const noteworthy = noWorker.filter((sentence) => row.reason?.includes(sentence) !== true);
  const next = isFull(state) && state.nextCheckAt !== null ? `, next at ${state.nextCheckAt}` : '';
  printFacts(workflowId, [
    ['Workflow', `${row.workflowStatus.toLowerCase()} (${from})`],
    ['phase', state?.phase ?? 'not known yet'],
    ...noteworthy.map((sentence) => ['no Worker', sentence] as const),
    ['problem', problem === null || row.reason === commands(problem) ? null : commands(problem)],
    ['reason', row.reason],
    ['what to do', state?.hold && [state.hold.action, ...resumeHint(workflowId, state.hold)].join(' ')],
    ['link', state?.hold?.link],
    ['task', state?.taskId ?? (open ? 'none yet' : 'none')],
    ['Rivya says', state?.status],
    ['money', state && money(state)],
    ['expected end', isFull(state) && state.expected ? expectedText(state.expected) : null],
    ['checks', isFull(state) ? `${state.statusChecks}${next}` : null],
    ['Temporal', workflowLink(temporal, workflowId)],
  ]);
  return STATUS.done;
}

async function statusOfSteps({ client }: Temporal, description: WorkflowExecutionDescription, json = false) {
  const { workflowId, type } = description;
  const workflowStatus = description.status.name;
  const steps = await rowsOf(client, await stepsOf(client, workflowId));
  const problem = isOpen(workflowStatus) ? await workflowTaskProblem(client, description) : null;
  if (steps.length === 0 && problem === null) {
    throw new UsageError(`"${workflowId}" (${type}) has no steps: no generation or chat is named "${workflowId}/…".`);
  }
  if (json) {
    printJson({ workflowId, type, workflowStatus, problem, steps });
    return STATUS.done;
  }
  print(`${workflowId} (${type}): ${workflowStatus.toLowerCase()}`);
  if (problem !== null) print(commands(problem));
  if (steps.length > 0) printRows(steps, 'STEP');
  for (const { step, workflowId: id, state, hold } of steps) {
    if (state === 'held' && hold !== null) print([`${step}: ${holdText(hold)}`, ...resumeHint(id, hold)].join(' '));
  }
  return STATUS.done;
}

async function wait(temporal: Temporal, workflowId: string, options: BulkOptions): Promise<number> {
  const { json = false } = options;
  const output = await openOutput(options.output);
  const { handle, description } = await findGeneration(temporal, workflowId);
  const startedAt = +description.startTime;
  return followAndReport(temporal, handle, { json, interrupted: interruption(), startedAt, output });
}
