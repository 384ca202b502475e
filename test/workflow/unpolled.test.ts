/** A task queue that nobody polls: the Workflow cannot fail by it, so it says so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WorkerRole } from '../../src/config.js';
import type { GenerationState } from '../../src/contract/index.js';
import { bundleWith } from '../support/bundle.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

// The test server that skips time stands still while an Activity waits, so the minute is made shorter.
let bundle: string;
let harnesses: Harness[];
beforeAll(async () => {
  [bundle, ...harnesses] = await Promise.all([
    bundleWith([['src/policy/timeouts.ts', 'unpolled: 60 * SECOND', 'unpolled: 2 * SECOND']]),
    startHarness({ workers: false }),
    startHarness({ workers: false }),
  ]);
});
afterAll(() => Promise.all(harnesses.map((harness) => harness[Symbol.asyncDispose]())));

describe.concurrent('a missing Worker is named, and when it comes the generation goes on', () => {
  test.each<[WorkerRole[], WorkerRole, string, string]>([
    [['workflows', 'results'], 'api', '-api', 'submitted this generation'],
    [['workflows', 'api'], 'results', '', 'stored the files'],
  ])('with Workers for %j, that for %s', async (there, missing, end, what) => {
    const harness = harnesses[missing === 'api' ? 0 : 1]!;
    const taskQueue = harness.taskQueue + end;
    await harness.startWorkers({ roles: new Set(there), bundle });
    const { workflowId } = await harness.client.start({ model: 'z-image', prompt: 'a fox' });
    const handle = harness.temporal.workflow.getHandle(workflowId);
    const state = (): Promise<GenerationState> => handle.query('generation');
    await until(async () => (await state()).waitingFor?.role === missing);
    const { phase, waitingFor } = await state();
    expect(phase).toBe(missing === 'api' ? 'submitting' : 'storing');
    expect(waitingFor).toMatchObject({ role: missing, taskQueue, since: expect.any(String) });
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain(`No Worker has ${what} for 2 s`);
    expect(currentDetails).toContain(`role \`${missing}\` running on task queue \`${taskQueue}\``);

    await harness.startWorkers({ roles: new Set([missing]) });
    expect(await handle.result()).toMatchObject({ status: 'succeeded' });
    expect((await state()).waitingFor).toBeNull();
  });
});
