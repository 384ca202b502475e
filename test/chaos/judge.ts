/** What a run came to: judged from the emulator's ledger, the files in the store, and the histories in Temporal. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { ACCOUNT_WORKFLOW_TYPE } from '../../src/contract/index.js';
import type { Ledger, LedgerKey } from '../../src/emulator/index.js';
import { mediaReply } from '../../src/emulator/media.js';
import { MIN_WAIT_MS } from '../../src/policy/index.js';
import type { Outcome } from './jobs.js';
import { keyOf, lastKeyNumber, type Job } from './plan.js';

export interface Verdict {
  /** What is counted, and how much of it there is. */
  readonly figures: Readonly<Record<string, string>>;
  /** What must not be; empty after a good run. */
  readonly problems: readonly string[];
}

/** A run that replaces another knows nothing of the last check of the old one, and makes its own first after 2 to 3 s. */
const RESTARTED = new Set<Job['story']>([
  'cancelled and started again',
  'terminated and started again',
  'reset to its first Workflow Task',
]);
const MIN_WAIT_RESTARTED_MS = 2_000;

/** A Workflow Task also "fails" when something arrives while it ends its Workflow (1, 31), and by terminate and reset (17, 20). */
const HARMLESS = new Set([1, 31, 17, 20]);

/** What the ledger says of one generation. */
interface Account {
  readonly keys: readonly (LedgerKey & { readonly key: string })[];
  readonly tasks: readonly (Ledger['tasks'][string] & { readonly id: string })[];
}

export async function judge(outcomes: readonly Outcome[], ledger: Ledger, client: Client): Promise<Verdict> {
  const accounts = accountsOf(ledger);
  const problems: string[] = [];
  let delivered = 0;
  let closest = Infinity;
  let closestRestarted = Infinity;
  for (const { job, result, error } of outcomes) {
    const account = accounts.get(job.input.prompt) ?? { keys: [], tasks: [] };
    accounts.delete(job.input.prompt);
    const found = complaints(job, account);
    const gap = Math.min(
      ...account.tasks.flatMap(({ checks }) => checks.slice(1).map((at, i) => at - (checks[i] ?? 0))),
    );
    if (RESTARTED.has(job.story)) closestRestarted = Math.min(closestRestarted, gap);
    else closest = Math.min(closest, gap);
    const missing = await whyNotDelivered({ job, result, error }, account);
    if (missing === null) delivered++;
    else found.push(missing);
    if (found.length > 0) problems.push(describe(job, found, account));
  }
  for (const prompt of accounts.keys()) problems.push(`The ledger has a generation that nobody asked for: ${prompt}`);
  if (ledger.withoutKey.length > 0) problems.push(`Created without a key: ${ledger.withoutKey.join(', ')}`);

  const { runs, running, failedTasks } = await histories(client);
  for (const workflowId of running) problems.push(`Still running: ${workflowId}`);
  problems.push(...failedTasks);

  const keys = Object.values(ledger.keys);
  const designed = sum(outcomes.map(({ job }) => job.paid));
  const seconds = (ms: number): string => (ms === Infinity ? 'none' : `${(ms / 1_000).toFixed(2)} s`);
  return {
    problems,
    figures: {
      'Logical generations': String(outcomes.length),
      'Submits (POST)': String(sum(keys.map(({ posts }) => posts))),
      'of them hit by a fault': String(sum(keys.map(({ faulted }) => faulted))),
      'Status checks (GET)': String(sum(Object.values(ledger.tasks).map(({ checks }) => checks.length))),
      'Paid tasks': String(ledger.paidTasks),
      'Paid tasks by design': `${designed} (a second one where the first fails and \`maxAttempts\` is 2)`,
      'Charges per paid task by design': (ledger.paidTasks / designed).toFixed(3),
      'Results delivered, whole, with the right SHA-256': `${delivered} of ${outcomes.length}`,
      'Idempotency keys with more than one task': String(keys.filter(({ tasks }) => tasks.length > 1).length),
      'Idempotency keys with more than one body': String(keys.filter(({ bodies }) => bodies.length > 1).length),
      'Tasks created without a key': String(ledger.withoutKey.length),
      'Closest two checks of a task': seconds(closest),
      'the same, where a run was replaced by another': seconds(closestRestarted),
      'Workflow runs': String(runs),
      'Workflows left running': String(running.length),
      'Failed Workflow Tasks': String(failedTasks.length),
    },
  };
}

function accountsOf(ledger: Ledger): Map<string, Account> {
  const accounts = new Map<string, { keys: Account['keys'][number][]; tasks: Account['tasks'][number][] }>();
  for (const [key, entry] of Object.entries(ledger.keys)) {
    for (const body of entry.bodies) {
      const { prompt } = JSON.parse(body) as { prompt: string };
      const account = accounts.get(prompt) ?? { keys: [], tasks: [] };
      accounts.set(prompt, account);
      account.keys.push({ key, ...entry });
      account.tasks.push(...entry.tasks.map((id) => ({ id, ...(ledger.tasks[id] as Ledger['tasks'][string]) })));
    }
  }
  return accounts;
}

function complaints({ workflowId, paid, story }: Job, { keys, tasks }: Account): string[] {
  const found: string[] = [];
  if (tasks.length !== paid) found.push(`${tasks.length} paid tasks instead of ${paid}`);
  if (paid === 2 && tasks.filter(({ status }) => status === 'failed').length !== 1) found.push('not one task failed');
  if (!keys.some(({ faulted }) => faulted > 0)) found.push('no fault at its submit');
  const numbers = Array.from({ length: lastKeyNumber({ paid }) }, (_, index) => index + 1);
  const known = new Set(numbers.map((number) => keyOf(workflowId, number)));
  for (const { key, tasks: own, bodies } of keys) {
    if (!known.has(key)) found.push(`a key that is not its own: ${key}`);
    if (own.length > 1) found.push(`${own.length} tasks under the key ${key}`);
    if (bodies.length > 1) found.push(`${bodies.length} bodies under the key ${key}`);
  }
  const least = RESTARTED.has(story) ? MIN_WAIT_RESTARTED_MS : MIN_WAIT_MS;
  for (const { id, checks } of tasks) {
    if (gaps(checks).some((gap) => gap < least)) found.push(`checks of ${id} after ${gaps(checks).join(', ')} ms`);
  }
  return found;
}

async function whyNotDelivered({ job, result, error }: Outcome, { tasks }: Account): Promise<string | null> {
  if (result === null) return `no result: ${error}`;
  const task = tasks.find(({ id }) => id === result.taskId);
  if (task?.status !== 'succeeded')
    return `its result is of ${result.taskId}, which is ${task?.status ?? 'not its own'}`;
  const [file, ...others] = result.files;
  if (file === undefined || others.length > 0) return `${result.files.length} files`;
  const bytes = await readFile(fileURLToPath(file.uri)).catch(() => null);
  if (bytes === null) return `its file ${file.uri} is not there`;
  const { body } = mediaReply({ model: job.input.model, prompt: job.input.prompt ?? null, params: {} });
  const digests = new Set([
    file.sha256,
    ...[bytes, body].map((data) => createHash('sha256').update(data).digest('hex')),
  ]);
  return digests.size === 1 ? null : `its file ${file.uri} is not the result`;
}

/** Looks at every run: is it still open, and did a Workflow Task fail in our code? */
async function histories(client: Client): Promise<{ runs: number; running: string[]; failedTasks: string[] }> {
  const running: string[] = [];
  const failedTasks: string[] = [];
  let runs = 0;
  for await (const { workflowId, runId, status, type } of client.workflow.list()) {
    runs++;
    // The account never ends.
    if (status.name === 'RUNNING' && type !== ACCOUNT_WORKFLOW_TYPE) running.push(workflowId);
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    for (const { workflowTaskFailedEventAttributes: failed } of events ?? []) {
      if (failed == null || HARMLESS.has(failed.cause ?? 0)) continue;
      failedTasks.push(`A Workflow Task of ${workflowId} failed: cause ${failed.cause}, ${failed.failure?.message}`);
    }
  }
  return { runs, running, failedTasks };
}

function describe({ workflowId, story, faults }: Job, found: readonly string[], account: Account): string {
  return [
    `${workflowId} (${story}): ${found.join('; ')}`,
    `  faults: ${faults.map((fault) => `${fault.on} ${JSON.stringify(fault.do)}`).join(', ')}`,
    ...account.keys.map((key) => `  ${JSON.stringify(key)}`),
    ...account.tasks.map((task) => `  ${JSON.stringify(task)}`),
  ].join('\n');
}

function gaps(checks: readonly number[]): number[] {
  return checks.slice(1).map((at, index) => at - (checks[index] ?? at));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
