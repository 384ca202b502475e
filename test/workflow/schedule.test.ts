/** Generations that come again and again: the Schedules of docs/workers.md, and the ways that would pay twice or never. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Client, WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const page = readFileSync(new URL('../../docs/workers.md', import.meta.url), 'utf8');
const section = page.slice(page.indexOf('## Every day: a Schedule'), page.indexOf('## Your own data converter'));
const snippet = (language: string): string => section.split(`\`\`\`${language}\n`)[1]!.split('```')[0]!;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness[Symbol.asyncDispose]());

const shell = promisify(execFile);

/** The page's own command, with nothing changed but the task queue and the names. */
async function createByCommand(scheduleId: string): Promise<void> {
  const command = snippet('sh')
    .replace('--task-queue rivya', `--task-queue ${harness.taskQueue}`)
    .replaceAll('fox', scheduleId);
  const binary = await findServerBinary({ log: () => undefined });
  const env = { ...process.env, ...harness.temporalEnv };
  await shell('sh', ['-c', `temporal() { '${binary}' "$@"; }\n${command}`], { env });
}

/** The page's own call, with nothing changed but the task queue and the names. */
async function createByClient(scheduleId: string): Promise<void> {
  const whole = snippet('ts');
  const code = whole
    .slice(whole.indexOf('await client.schedule'), whole.indexOf('await connection.close'))
    .replace("taskQueue: 'rivya'", `taskQueue: '${harness.taskQueue}'`)
    .replaceAll('fox', scheduleId);
  // eslint-disable-next-line no-implied-eval -- what the page says is run as it is
  const create = new Function('client', `return (async () => { ${code} })()`) as (client: Client) => Promise<void>;
  await create(harness.temporal);
}

const paidTasksOf = async (prompt: string): Promise<number> =>
  Object.values((await harness.emulator.ledger()).tasks).filter((task) => task.prompt?.includes(prompt)).length;

describe.concurrent('a Schedule as the page has it', () => {
  test.each([
    ['day', 'temporal schedule create', createByCommand],
    ['week', 'client.schedule.create', createByClient],
  ])('each %s (%s): each trigger is a Workflow ID and a paid task of its own', async (every, _, create) => {
    const name = `s${randomUUID()}`;
    await create(name);
    const handle = harness.temporal.schedule.getHandle(`${name}-of-the-${every}`);
    const started = async (): Promise<string[]> =>
      (await handle.describe()).info.recentActions.map(({ action }) => action.workflow.workflowId);
    try {
      // At the same moment, as of a person who clicks twice: IDs count whole seconds, so these mostly share one.
      await Promise.all([handle.trigger(), handle.trigger()]);
      await until(async () => (await started()).length > 0);
      const second = Math.floor(Date.now() / 1_000);
      await until(() => Math.floor(Date.now() / 1_000) > second + 1);
      const before = (await started()).length;
      await handle.trigger();
      await until(async () => (await started()).length > before);
      const ids = await started();
      for (const id of ids) expect(id).toMatch(new RegExp(`^${name}-\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$`));
      const results = await Promise.all(ids.map((id) => harness.client.handle(id).result()));
      expect(new Set(ids).size).toBe(ids.length);
      expect(new Set(results.map(({ taskId }) => taskId)).size).toBe(ids.length);
      expect(await paidTasksOf(name)).toBe(ids.length);
    } finally {
      await handle.delete();
    }
  });
});

describe.concurrent('refused before anything is posted', () => {
  const postsOf = (prompt: string): number =>
    harness.emulator.requests().filter(({ body }) => body.includes(prompt)).length;

  test('a cron Workflow, with the advice to use a Schedule', async () => {
    const prompt = 'every second';
    const first = await harness.temporal.workflow.start('generateMedia', {
      workflowId: 'cron',
      taskQueue: harness.taskQueue,
      args: [{ model: 'z-image', prompt }],
      cronSchedule: '@every 1s',
    });
    // A cron Workflow goes on after a failure, so its first run is looked at.
    const failure = async (): Promise<string> => {
      const { events } = await harness.temporal.workflow.getHandle('cron', first.firstExecutionRunId).fetchHistory();
      const { workflowExecutionFailedEventAttributes: failed } = events!.at(-1)!;
      return failed?.failure?.message ?? '';
    };
    await until(async () => (await failure()) !== '');
    expect(await failure()).toContain('use a Temporal Schedule');
    await harness.temporal.workflow.getHandle('cron').terminate();
    expect(postsOf(prompt)).toBe(0);
  });

  test('a child with a random ID, with the fix in the message; with a key of its own it runs', async () => {
    const execute = (input: object): Promise<unknown> =>
      harness.temporal.workflow.execute('childWithRandomId', {
        workflowId: `parent of ${JSON.stringify(input)}`,
        taskQueue: harness.taskQueue,
        args: [input],
      });
    const input = { model: 'z-image', prompt: 'random child' };
    const failure = await execute(input).catch((error: unknown) => (error as WorkflowFailedError).cause?.cause);
    expect(failure).toMatchObject({ type: 'InvalidInput', message: expect.stringContaining('${parentId}/${step}') });
    expect(postsOf('random child')).toBe(0);
    const keyed = { ...input, idempotencyKey: 'order/of/a/child' };
    expect(await execute(keyed)).toMatchObject({ status: 'succeeded' });
    expect(postsOf('random child')).toBe(1);
  });
});
