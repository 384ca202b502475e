/** The order of work on the queue of API calls, where more waits than the rate lets through. */
import { expect, test } from 'vitest';
import type { RecordedRequest } from '../../src/emulator/index.js';
import { startHarness } from '../support/harness.js';
import { until } from '../support/until.js';

const BATCH_ITEMS = 24;
// As the items of a batch are started.
const OF_BATCH = { priorityKey: 4 };
// The queue has four partitions, and each may have handed out the next call already.
const MAY_OVERTAKE = 4;

test('checks come before submits, and a single generation before a backlog of batch items', async () => {
  // A call each 1.1 s, so that a backlog stands for a while.
  await using harness = await startHarness({ account: false, env: { RIVYA_RATE_LIMIT_PER_MINUTE: '60' } });
  const { temporal, taskQueue, emulator, client } = harness;
  const items = await Promise.all(
    Array.from({ length: BATCH_ITEMS }, (_, index) =>
      temporal.workflow.start('generateMedia', {
        workflowId: `item ${index}`,
        taskQueue,
        args: [{ model: 'z-image', prompt: `item ${index}` }],
        priority: OF_BATCH,
      }),
    ),
  );
  const isSubmit = ({ method }: RecordedRequest): boolean => method === 'POST';
  await until(() => emulator.requests().some(isSubmit));
  const single = await client.start({ model: 'z-image', prompt: 'single' }, { workflowId: 'single' });
  // It is posted, checked and stored while the batch still waits.
  await single.result();
  // Some of them have ended.
  await Promise.allSettled(items.map((item) => item.terminate()));
  const calls = emulator.requests();
  expect(calls.filter(isSubmit).length).toBeLessThan(BATCH_ITEMS);

  /** Submits of batch items between the time when an Activity was scheduled and its own call. */
  const overtaking = async (workflowId: string, type: string, call: RecordedRequest): Promise<number> => {
    const { events } = await temporal.workflow.getHandle(workflowId).fetchHistory();
    const event = events?.find((one) => one.activityTaskScheduledEventAttributes?.activityType?.name === type);
    const scheduledAt = Number(event!.eventTime!.seconds) * 1_000 + Number(event!.eventTime!.nanos) / 1e6;
    return calls.filter((one) => isSubmit(one) && one.at > scheduledAt && one.at < call.at).length;
  };
  const postOfSingle = calls.find(({ body }) => body.includes('"single"'));
  expect(await overtaking('single', 'rivyaSubmit', postOfSingle!)).toBeLessThanOrEqual(MAY_OVERTAKE);
  const { tasks } = await emulator.ledger();
  const first = new Map(Object.keys(tasks).map((id) => [id, calls.find(({ path }) => path.endsWith(id))]));
  const checked = Object.entries(tasks).flatMap(([taskId, { prompt }]) => {
    const call = first.get(taskId);
    return call === undefined ? [] : [{ call, workflowId: prompt! }];
  });
  expect(checked.length).toBeGreaterThan(1);
  for (const { call, workflowId } of checked) {
    expect(await overtaking(workflowId, 'rivyaCheck', call)).toBeLessThanOrEqual(MAY_OVERTAKE);
  }
});
