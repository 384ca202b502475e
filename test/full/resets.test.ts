/** A reset to every Workflow Task that a generation ever completed: one paid task, the same one, and it is delivered. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerationResult, GenerationState } from '../../src/contract/index.js';
import type { EmulatorOptions } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetTo } from '../support/reset.js';
import { until } from '../support/until.js';

const NO_SCOPE = 'held by a scope';
const API: EmulatorOptions = {
  credits: 10_000,
  // Three or four checks.
  durations: { image: 11_000 },
  // A fault counts its uses over all prompts that it meets, so each generation has one of its own.
  faults: Array.from({ length: 30 }, (_, which) => ({
    on: 'status',
    prompt: `${NO_SCOPE} ${which}.`,
    times: 1,
    do: { kind: 'error', code: 'api_scope_denied' },
  })),
};

// Some sixty generations at the same time, on a machine that may be busy.
const LIMIT_MS = 200_000;

const harnesses = {} as Record<Api, Harness>;
const apis = ['remembers', 'has forgotten'] as const;
type Api = (typeof apis)[number];
beforeAll(async () => {
  harnesses.remembers = await startHarness({ account: false, emulator: API });
  // Nothing but Temporal remembers.
  const env = { RIVYA_STORE: '' };
  harnesses['has forgotten'] = await startHarness({
    account: false,
    env,
    emulator: { ...API, switches: { keyLifetimeMs: 1 } },
  });
});
afterAll(() => Promise.all(Object.values(harnesses).map((harness) => harness[Symbol.asyncDispose]())));

/** Nothing at all where a busy Worker answers late. */
const stateOf = async ({ client }: Harness, workflowId: string): Promise<Partial<GenerationState>> =>
  (await client.handle(workflowId).state()) ?? {};

/** IDs of the events to which the latest run can be reset. */
async function pointsOf({ temporal }: Harness, workflowId: string): Promise<number[]> {
  const { events } = await temporal.workflow.getHandle(workflowId).fetchHistory();
  return events!.flatMap((event) =>
    event.workflowTaskCompletedEventAttributes == null ? [] : [Number(event.eventId)],
  );
}

async function paidTasksOf({ emulator }: Harness, prompt: string): Promise<string[]> {
  const { tasks } = await emulator.ledger();
  return Object.entries(tasks).flatMap(([taskId, task]) => (task.prompt === prompt ? [taskId] : []));
}

/** Waits for the result, and resumes where a hold was brought back. */
async function resultOf(harness: Harness, workflowId: string): Promise<GenerationResult> {
  const handle = harness.client.handle(workflowId);
  await until(async () => {
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING') return true;
    // Its time may come between the look and the answer.
    if ((await stateOf(harness, workflowId)).hold != null) await handle.resume().catch(() => undefined);
    return false;
  }, LIMIT_MS);
  return handle.result();
}

interface Life {
  readonly name: string;
  /** Asks the emulator for a fault. */
  readonly prompt?: string;
  /** Lives until the moment of the reset. */
  readonly until: (harness: Harness, workflowId: string) => Promise<unknown>;
}

const untilHeld = (harness: Harness, workflowId: string): Promise<void> =>
  until(async () => (await stateOf(harness, workflowId)).hold != null, LIMIT_MS);

const lives: readonly Life[] = [
  { name: 'completed', until: resultOf },
  {
    name: 'under way and woken by signals',
    until: async (harness, workflowId) => {
      const workflow = harness.temporal.workflow.getHandle(workflowId);
      await workflow.signal('checkNow');
      // On a busy machine it may have ended with its first check, and is reset as a completed one.
      const goneOn = async (): Promise<boolean> => {
        const { statusChecks = 0, phase } = await stateOf(harness, workflowId);
        return statusChecks >= 2 || phase === 'succeeded';
      };
      await until(goneOn, LIMIT_MS);
      await workflow.signal('checkNow').catch(() => undefined);
    },
  },
  { name: 'held by credits', prompt: '[[code:insufficient_credits:1]]', until: untilHeld },
  {
    name: `${NO_SCOPE}, resumed and completed`,
    until: async (harness, workflowId) => {
      await untilHeld(harness, workflowId);
      await harness.temporal.workflow.getHandle(workflowId).signal('resume');
      await resultOf(harness, workflowId);
    },
  },
];

describe.concurrent.each(apis)('where the API %s the key', (api) => {
  test.each(lives)('a generation that is $name', async ({ name, prompt: fault = '', until: live }) => {
    const harness = harnesses[api];
    const run = async (which: number): Promise<number> => {
      const workflowId = `${name}, ${api}, ${which}`;
      const prompt = `${name.split(',')[0]} ${which}. ${fault}`;
      await harness.client.start({ model: 'z-image', prompt }, { workflowId });
      await live(harness, workflowId);
      const points = await pointsOf(harness, workflowId);
      // Jitter may save the last check.
      await resetTo(harness.temporal, workflowId, points[which] ?? points.at(-1)!);
      const { taskId } = await resultOf(harness, workflowId);
      expect(await paidTasksOf(harness, prompt)).toEqual([taskId]);
      const description = await harness.client.handle(workflowId).describe();
      expect(memoOf(description)).toMatchObject({ phase: 'succeeded', taskId });
      return points.length;
    };
    const points = await run(0);
    expect(points).toBeGreaterThan(1);
    await Promise.all(Array.from({ length: points - 1 }, (_, index) => run(index + 1)));
  });
});
