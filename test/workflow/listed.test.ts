/** A request that the list of models proves wrong costs nothing, however the API writes its list; a valid one is never refused. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerationError } from '../../src/client.js';
import type { Fault } from '../../src/emulator/index.js';
import { SWITCH_VALUES } from '../../src/emulator/switches.js';
import { startHarness, type Harness } from '../support/harness.js';

let harness: Harness;

/** Ends with its failure, or with its status. */
async function run(workflowId: string, model: string, params: Record<string, string | number> = {}) {
  const handle = await harness.client.start({ model, prompt: workflowId, params }, { workflowId });
  return handle.result().then(
    ({ status }) => status,
    (error: unknown) => {
      if (error instanceof GenerationError) return error;
      throw error;
    },
  );
}

const postsOf = (prompt: string): number =>
  harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(`"${prompt}"`)).length;

describe.concurrent.each(SWITCH_VALUES.modelParams)('params in the list: %s', (modelParams) => {
  const named = modelParams === 'key' || modelParams === 'name';
  let own: Harness;
  beforeAll(async () => {
    own = await startHarness({ emulator: { speed: 100, switches: { modelParams } } });
  });
  afterAll(() => own[Symbol.asyncDispose]());

  test('what it names is taken, and what it does not name is refused only where it names params', async () => {
    const start = async (prompt: string, params: Record<string, string | number>) =>
      (await own.client.start({ model: 'sora-2', prompt, params }, { workflowId: prompt })).result();
    const right = start('right', { n_frames: '15' });
    const [unknown, wrong] = [start('unknown', { n_frame: '15' }), start('wrong', { n_frames: 15 })];
    const refusals = await Promise.allSettled([unknown, wrong]);
    await expect(right).resolves.toMatchObject({ status: 'succeeded' });
    const fields = refusals.map((ended) =>
      ended.status === 'fulfilled' ? null : (ended.reason as GenerationError).details.field,
    );
    expect(fields).toEqual(named ? ['params.n_frame', 'params.n_frames'] : [null, null]);
    expect((await own.emulator.ledger()).paidTasks).toBe(named ? 1 : 3);
  });
});

describe.concurrent.each<[string, Fault[], 'whole' | 'firstPage']>([
  ['cannot be had', [{ on: 'models', do: { kind: 'error', code: 'internal_error' } }], 'whole'],
  ['is no list', [{ on: 'models', do: { kind: 'reply', status: 200, body: '<html>' } }], 'whole'],
  ['has more pages', [], 'firstPage'],
])('a list that %s', (_, faults, modelList) => {
  let own: Harness;
  beforeAll(async () => {
    own = await startHarness({ emulator: { speed: 100, faults, switches: { modelList } } });
  });
  afterAll(() => own[Symbol.asyncDispose]());

  test('refuses nothing: the submit says what the API says', async () => {
    const start = async (model: string) =>
      (await own.client.start({ model, prompt: model }, { workflowId: model })).result();
    await expect(start('kling-2-6')).resolves.toMatchObject({ status: 'succeeded' });
    await expect(start('kling2-6')).rejects.toMatchObject({ code: 'validation_failed', details: { httpStatus: 400 } });
  });
});

describe.concurrent('the whole list', () => {
  beforeAll(async () => {
    harness = await startHarness({ emulator: { speed: 100 } });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('an unknown model fails by its field with the nearest name, and nothing is posted', async () => {
    expect(await run('a hen', 'zimage')).toMatchObject({
      code: 'InvalidInput',
      message: expect.stringMatching(
        /^model: the list of models has no "zimage" \(did you mean "z-image"\?\)\. Nothing was sent/,
      ),
      details: { field: 'model' },
    });
    expect(postsOf('a hen')).toBe(0);
    expect(await run('an ox', 'z-image', { anything: 1 })).toBe('succeeded');
  });
});
