/** What one generation costs in Temporal: events of its history, calls to the Service, and what stands in them. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { memoOf } from '../../src/client.js';
import { accountWorkflowId, ERROR_CODES, NOT_RETRIED } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { lengthOf } from '../support/history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ emulator: { durations: { image: 800 } }, attributes: false });
});
afterAll(() => harness[Symbol.asyncDispose]());

/** The Activities in its history, each with the error codes that end its repetition. */
async function activitiesOf(handle: WorkflowHandle): Promise<Record<string, readonly string[]>> {
  const { events } = await handle.fetchHistory();
  const scheduled = events!.flatMap(({ activityTaskScheduledEventAttributes: event }) =>
    event == null ? [] : [event],
  );
  return Object.fromEntries(
    scheduled.map(({ activityType, retryPolicy }) => [activityType!.name!, retryPolicy?.nonRetryableErrorTypes ?? []]),
  );
}

test('an image with a store and one check: 31 events, one list and no description before its POST', async () => {
  const { workflowService } = harness.connection;
  const list = vi.spyOn(workflowService, 'listWorkflowExecutions');
  const describes = vi.spyOn(workflowService, 'describeWorkflowExecution');
  const { workflowId } = await harness.client.start({ model: 'z-image', prompt: 'counted' });
  expect(await harness.client.handle(workflowId).result()).toMatchObject({
    statusChecks: 1,
    files: [expect.anything()],
  });
  const lists = list.mock.calls.filter(([{ query }]) => query?.includes('rivya-account') !== true);
  expect(lists).toEqual([[expect.objectContaining({ query: `WorkflowId = '${workflowId}'` })]]);
  // The account looks by itself, and is read in the background, whatever there is to do.
  const described = describes.mock.calls.map(([{ execution }]) => execution?.workflowId);
  expect(described.filter((id) => id !== accountWorkflowId(harness.taskQueue))).toEqual([]);
  expect(lengthOf(await harness.temporal.workflow.getHandle(workflowId).fetchHistory())).toBe(31);
});

test('without a store no Activity is started to store: 25 events, one billed action less', async () => {
  await using links = await startHarness({
    emulator: { durations: { image: 800 } },
    env: { RIVYA_STORE: '' },
    attributes: false,
  });
  const handle = await links.client.start({ model: 'z-image', prompt: 'links only' });
  expect(await handle.result()).toMatchObject({ statusChecks: 1, urls: [expect.anything()], files: [] });
  const started = links.temporal.workflow.getHandle(handle.workflowId);
  expect(Object.keys(await activitiesOf(started))).toEqual(['rivyaSubmit', 'rivyaCheck']);
  expect(lengthOf(await started.fetchHistory())).toBe(25);
});

test('the history of a submit, a check and a chat shows which error codes end their repetition', async () => {
  const refusals = Object.entries(ERROR_CODES).flatMap(([code, { retried }]) => (retried ? [] : [code]));
  expect(NOT_RETRIED).toEqual(expect.arrayContaining([...refusals, 'SubmitUnresolved', 'InputChanged']));
  const { workflowId } = await harness.client.start({ model: 'z-image', prompt: 'policies' });
  await harness.client.handle(workflowId).result();
  expect(await activitiesOf(harness.temporal.workflow.getHandle(workflowId))).toMatchObject({
    rivyaSubmit: NOT_RETRIED,
    rivyaCheck: NOT_RETRIED,
  });
  const chat = await harness.temporal.workflow.start('rivyaChat', {
    workflowId: 'policies of a chat',
    taskQueue: harness.taskQueue,
    args: [{ model: 'gpt-5-2-chat', message: 'hello' }],
  });
  await chat.result();
  expect(await activitiesOf(chat)).toEqual({ rivyaChat: NOT_RETRIED });
});

test('credits with a fraction come through state, memo, receipt and result as they are', async () => {
  const task = { id: 'task_fraction', model: 'z-image', reserved_credits: 1.5 };
  const reply = (status: string, final: number | null) => ({ ...task, status, final_credits: final });
  const faults: Fault[] = [
    { on: 'create', do: { kind: 'id', id: task.id } },
    { on: 'create', do: { kind: 'replyAfter', status: 201, body: JSON.stringify(reply('queued', null)) } },
    {
      on: 'status',
      do: {
        kind: 'reply',
        status: 200,
        body: JSON.stringify({
          ...reply('succeeded', 1.25),
          result: { primary_url: `${harness.emulator.url}/media/${task.id}/1.png` },
        }),
      },
    },
  ];
  harness.emulator.setFaults(faults);
  const handle = await harness.client.start({ model: 'z-image', prompt: 'a fraction' });
  const credits = { taskId: task.id, reservedCredits: 1.5, finalCredits: 1.25 };
  expect(await handle.result()).toMatchObject({ status: 'succeeded', ...credits });
  expect(memoOf(await handle.describe())).toMatchObject(credits);
  expect(await handle.state()).toMatchObject(credits);
});
