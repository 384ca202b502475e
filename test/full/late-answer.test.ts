/** Answers that come after our own time limits, when nobody listens any more. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_TIMEOUTS } from '../../src/api/index.js';
import { startHarness, type Harness } from '../support/harness.js';

const TOO_LATE_MS = 5_000;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      faults: [
        {
          on: 'create',
          prompt: 'late reply',
          times: 1,
          do: { kind: 'delayAfter', ms: HTTP_TIMEOUTS.post + TOO_LATE_MS },
        },
        {
          on: 'create',
          prompt: 'late work',
          times: 1,
          do: { kind: 'delayBefore', ms: HTTP_TIMEOUTS.post + TOO_LATE_MS },
        },
        {
          on: 'status',
          prompt: 'late check',
          times: 1,
          do: { kind: 'delayAfter', ms: HTTP_TIMEOUTS.get + TOO_LATE_MS },
        },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

describe.concurrent('paid once and delivered', () => {
  // No prompt contains another: a fault is for every prompt that contains its own.
  test.each([
    ['a submit', 'late reply'],
    ['a submit worked on late', 'late work'],
    ['a check', 'late check'],
  ])('when the answer to %s comes too late', async (_, prompt) => {
    const handle = await harness.client.start({ model: 'z-image', prompt });
    const { taskId, idempotencyKey, statusChecks } = await handle.result();
    const { keys, tasks } = await harness.emulator.ledger();
    const mine = Object.entries(keys).filter(([, { bodies }]) => bodies.some((body) => body.includes(`"${prompt}"`)));
    expect(mine).toMatchObject([[idempotencyKey, { tasks: [taskId], bodies: [expect.anything()] }]]);
    // While the first POST still runs, the second meets it as a conflict, and only the one after it gets the task.
    if (prompt === 'late check') expect(mine[0]![1].posts).toBe(1);
    else expect(mine[0]![1].posts).toBeGreaterThanOrEqual(2);
    expect(tasks[taskId]!.checks).toHaveLength(statusChecks);
    expect(statusChecks).toBe(prompt === 'late check' ? 2 : 1);
  });
});
