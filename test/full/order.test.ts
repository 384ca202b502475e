/** The order of work on the queue of API calls, where much more waits than the rate lets through: a batch, and single jobs. */
import { expect, test } from 'vitest';
import type { RecordedRequest } from '../../src/emulator/index.js';
import { startHarness } from '../support/harness.js';
import { until } from '../support/until.js';

const BATCH_ITEMS = 300;
const SINGLES = 10;
// As the items of a batch are started.
const OF_BATCH = { priorityKey: 4 };
// The queue has four partitions, and each has a rate and an order of its own: while one hands out the checks that it has, the
// others hand out what they have. In the order of arrival, nearly all of the batch would come first.
const MAY_OVERTAKE = 50;

test('300 batch items wait at 60 calls a minute: 10 single jobs are done first, and checks come before submits', async () => {
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
  const names = Array.from({ length: SINGLES }, (_, n) => `single ${n}`);
  const singles = await Promise.all(
    names.map((prompt) => client.start({ model: 'z-image', prompt }, { workflowId: prompt })),
  );
  // They are posted, checked and stored while the batch still waits.
  await Promise.all(singles.map((single) => single.result()));
  const calls = emulator.requests();
  // Some of them have ended.
  await Promise.allSettled(items.map((item) => item.terminate()));
  const ofBatch = calls.filter((call) => isSubmit(call) && call.body.includes('"item '));
  expect(ofBatch.length).toBeLessThan(BATCH_ITEMS / 4);

  /** Submits of batch items between the time when an Activity was scheduled and its own call. */
  const overtaking = async (workflowId: string, type: string, call: RecordedRequest): Promise<number> => {
    const { events } = await temporal.workflow.getHandle(workflowId).fetchHistory();
    const event = events?.find((one) => one.activityTaskScheduledEventAttributes?.activityType?.name === type);
    const scheduledAt = Number(event!.eventTime!.seconds) * 1_000 + Number(event!.eventTime!.nanos) / 1e6;
    return ofBatch.filter(({ at }) => at > scheduledAt && at < call.at).length;
  };
  for (const name of names) {
    const post = calls.find(({ body }) => body.includes(`"${name}"`));
    expect(await overtaking(name, 'rivyaSubmit', post!)).toBeLessThanOrEqual(MAY_OVERTAKE);
  }
  const { tasks } = await emulator.ledger();
  const checked = Object.entries(tasks).flatMap(([taskId, { prompt }]) => {
    const call = calls.find(({ path }) => path.endsWith(taskId));
    return call === undefined ? [] : [{ call, workflowId: prompt! }];
  });
  expect(checked.length).toBeGreaterThanOrEqual(SINGLES);
  for (const { call, workflowId } of checked) {
    expect(await overtaking(workflowId, 'rivyaCheck', call)).toBeLessThanOrEqual(MAY_OVERTAKE);
  }
});
