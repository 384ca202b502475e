/** A Worker process that is killed at each step of a generation, and another one that goes on. The judge is the ledger. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { kill, spawnWorker, type Step } from '../support/worker-process.js';

let remembering: Harness;
let forgetting: Harness;
beforeAll(async () => {
  remembering = await startHarness({ workers: false });
  forgetting = await startHarness({ workers: false, emulator: { switches: { keyLifetimeMs: 1 } } });
});
afterAll(async () => {
  await remembering[Symbol.asyncDispose]();
  await forgetting[Symbol.asyncDispose]();
});

// The receipts: of the submit before the POST, of the task after it, of its end after the last check.
const places: readonly [what: string, which: number][] = [
  ['rivyaSubmit', 1],
  ['fence', 1],
  ['receipt', 1],
  ['POST', 1],
  ['receipt', 2],
  ['rivyaCheck', 1],
  ['GET', 1],
  ['receipt', 3],
  ['rivyaStore', 1],
  ['file', 1],
];
const steps: readonly Step[] = places.flatMap(([what, which]): Step[] => [
  ['before', what, which],
  ['after', what, which],
]);

/** Credits of all that was charged for this generation, under whatever key; each costs one. */
async function creditsAfterKill(harness: Harness, step: Step): Promise<number> {
  const name = `${step.join(' ')}${harness === forgetting ? ' (forgotten)' : ''}`;
  // A queue of its own, so that this Worker meets this generation only.
  const taskQueue = `steps ${name}`;
  const { emulator, output, temporalEnv } = harness;
  const place = { emulator, output, temporalEnv, taskQueue };
  const client = new GenerationClient(harness.temporal, { taskQueue });
  const handle = await client.start({ model: 'z-image', prompt: name }, { workflowId: name });
  const first = spawnWorker({ ...place, at: { step, signal: 'SIGKILL' } });
  const [status, signal] = (await once(first, 'exit')) as [number | null, string | null];
  expect({ status, signal }).toEqual({ status: null, signal: 'SIGKILL' });
  const second = spawnWorker(place);
  try {
    const result = await handle.result();
    expect(result.files).toHaveLength(1);
    const { keys } = await harness.emulator.ledger();
    const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(name)));
    expect(mine).toMatchObject([{ tasks: [result.taskId], bodies: [expect.anything()] }]);
    return mine.reduce((sum, { charged }) => sum + charged, 0);
  } finally {
    await kill(second);
  }
}

describe.concurrent('paid once, and its file is there, when the Worker is killed', () => {
  test.each(steps)('%s %s %i', async (...step) => {
    expect(await creditsAfterKill(remembering, step)).toBe(1);
  });

  test('after the task is in a receipt, before Temporal hears of it, and the API forgets its keys', async () => {
    expect(await creditsAfterKill(forgetting, ['after', 'receipt', 2])).toBe(1);
  });
});
