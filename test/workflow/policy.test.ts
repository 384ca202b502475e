/** The spending policy of a Worker: no input can exceed it, and what is paid already is never denied. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSettings } from '../../src/config.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { drawPicture } from '../../src/emulator/picture.js';
import { digestOf, memoOf, readInput, stateAtStart } from '../../src/policy/index.js';
import { parsePolicy } from '../../src/spending-policy.js';
import { checkWorkerSettings } from '../../src/worker/check.js';
import type { RunningWorkers } from '../../src/worker/workers.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const directory = mkdtempSync(path.join(tmpdir(), 'rivya-policy-'));
const file = path.join(directory, 'policy.json');
writeFileSync(file, JSON.stringify({ models: ['z-*', 'veo*', 'flux*', 'unpriced'], maxCreditsPerGeneration: 1 }));

let harness: Harness;
let lenient: RunningWorkers;
beforeAll(async () => {
  harness = await startHarness({
    env: { RIVYA_POLICY_FILE: file },
    emulator: {
      faults: [
        { on: 'models', times: 2, do: { kind: 'error', code: 'public_api_disabled' } },
        { on: 'create', prompt: 'lost', times: 2, do: { kind: 'dropAfter' } },
      ],
    },
    workers: false,
  });
  lenient = await harness.startWorkers();
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const postsOf = (prompt: string): number =>
  harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(`"${prompt}"`)).length;

async function outcomeOf(input: GenerateMediaInput): Promise<unknown> {
  const { taskQueue } = harness;
  const workflowId = input.prompt!;
  return harness.temporal.workflow
    .execute('generateMedia', { workflowId, taskQueue, args: [input] })
    .catch((error: { cause: unknown }) => error.cause);
}

test('what the policy allows is submitted, once the list of models can be had', async () => {
  expect(await outcomeOf({ model: 'z-image', prompt: 'allowed' })).toMatchObject({ status: 'succeeded' });
  expect(postsOf('allowed')).toBe(1);
});

describe.concurrent('a denial names rule and file, says that nothing was paid, and is not repeated', () => {
  test.each([
    ['models', { model: 'sora-2', prompt: 'another model' }],
    ['maxCreditsPerGeneration', { model: 'veo3-1-lite', prompt: 'too dear' }],
    ['maxCreditsPerGeneration', { model: 'unpriced', prompt: 'no price' }],
    // Whatever an input says for itself.
    ['models', { model: 'sora-2', prompt: 'by its key', idempotencyKey: 'mine' }],
  ])('%s: %j', async (rule, input) => {
    const failure = await outcomeOf(input);
    expect(failure).toMatchObject({
      type: 'PolicyDenied',
      nonRetryable: true,
      details: [{ code: 'PolicyDenied', taskId: null }],
    });
    const { message } = failure as Error;
    expect(message).toContain(file);
    expect(message).toContain(`change "${rule}"`);
    expect(message).toContain('nothing was paid');
    expect(postsOf(input.prompt)).toBe(0);
  });
});

test('nobody can say that his own submit may have been paid, to get around the policy', async () => {
  const unanswered = { firstPostedAt: Date.now(), fingerprint: 'unknown' };
  const state = { phase: 'submitting', model: 'sora-2', attempt: 1, keyNumber: 1, earlier: [], unanswered, hold: null };
  const carried = { standing: { state, heldMs: 0, lastCheckAt: 0, heldAtPostMs: null }, wait: null };
  const { taskQueue } = harness;
  const args = [{ model: 'sora-2', prompt: 'carried' }, carried];
  const end = harness.temporal.workflow.execute('generateMedia', { workflowId: 'carried', taskQueue, args });
  await expect(end).rejects.toMatchObject({ cause: { type: 'InvalidInput', details: [{ field: 'carried' }] } });
  expect(postsOf('carried')).toBe(0);
});

test('nor can a memo of a run that never was say so', async () => {
  const { taskQueue, temporal } = harness;
  const input = { model: 'sora-2', prompt: 'by a memo', idempotencyKey: 'by-a-memo' };
  const start = (more: object) =>
    temporal.workflow.start('generateMedia', { workflowId: 'by a memo', taskQueue, args: [input], ...more });
  const unanswered = { firstPostedAt: Date.now(), fingerprint: 'unknown' };
  const baseKey = 'by-a-memo';
  const state = { ...stateAtStart({ model: input.model, baseKey }), phase: 'submitting' as const, unanswered };
  const rivya = memoOf(state, { baseKey, labels: {}, bodyDigest: digestOf(readInput(input).body) });
  await (await start({ memo: { rivya }, taskQueue: 'nobody polls it' })).terminate();
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Terminated'")).count > 0);
  await start({});
  const hold = async () => (await harness.client.handle('by a memo').state())?.hold ?? null;
  await until(async () => (await hold())?.code === 'SubmitUnresolved');
  expect((await hold())?.message).toMatch(
    /must not be repeated here: The spending policy .* does not allow model "sora-2"/,
  );
  expect(postsOf('by a memo')).toBe(0);
  await temporal.workflow.getHandle('by a memo').terminate();
});

test('the attempts of a generation count together', async () => {
  const rules = parsePolicy({ maxCreditsPerGeneration: 2 }, 'two credits');
  const faults = [{ on: 'create' as const, do: { kind: 'fail' as const } }];
  await using own = await startHarness({ workers: false, emulator: { faults } });
  await own.startWorkers({ policy: rules });
  const handle = await own.client.start({ model: 'z-image', prompt: 'ten tries', options: { maxAttempts: 10 } });
  await expect(handle.result()).rejects.toMatchObject({
    code: 'PolicyDenied',
    message: expect.stringContaining('1 x 3 attempts = 3'),
  });
  expect((await own.emulator.ledger()).paidTasks).toBe(2);
});

test('what is paid or may be is never denied, under rules that deny everything', async () => {
  const input = { model: 'z-image', prompt: 'lost' };
  const handle = await harness.client.start(input, { workflowId: 'paid before the rules' });
  // The answer to its POST is lost, and then the rules change.
  await until(() => postsOf('lost') > 0);
  await lenient.stop();
  await harness.startWorkers({ policy: parsePolicy({ models: [] }, 'nothing at all') });
  const { taskId } = await handle.result();
  expect(await outcomeOf({ model: 'z-image', prompt: 'new' })).toMatchObject({
    type: 'PolicyDenied',
    message: expect.stringContaining('nothing at all'),
  });

  await resetToStart(harness.temporal, 'paid before the rules');
  expect(await handle.result()).toMatchObject({ taskId, reused: true });
  expect(await outcomeOf({ model: 'z-image', prompt: 'only its wait', taskId })).toMatchObject({ taskId });
  const { tasks } = await harness.emulator.ledger();
  const others = Object.entries(tasks).filter(([, { prompt }]) => prompt !== 'allowed');
  expect(others).toEqual([[taskId, expect.objectContaining({ prompt: 'lost' })]]);
});

test('a store outside of the policy stops the Worker at start, by name', async () => {
  writeFileSync(path.join(directory, 'stores.json'), JSON.stringify({ stores: [`file:${directory}/allowed`] }));
  const env = (store: string) => ({
    RIVYA_API_KEY: 'rvya_sk_a',
    RIVYA_POLICY_FILE: path.join(directory, 'stores.json'),
    RIVYA_STORE: `file:${directory}/${store}`,
  });
  await checkWorkerSettings(readSettings(env('allowed/below')));
  await expect(checkWorkerSettings(readSettings(env('elsewhere')))).rejects.toThrow(
    /RIVYA_STORE: .*stores\.json.*allowed/,
  );
});

describe('references', () => {
  let strict: Harness;
  const allowed = path.join(directory, 'allowed');
  beforeAll(async () => {
    mkdirSync(allowed, { recursive: true });
    const picture = drawPicture('a reference', 'z-image', {});
    for (const folder of [directory, allowed]) writeFileSync(path.join(folder, 'fox.png'), picture);
    symlinkSync(path.join(directory, 'fox.png'), path.join(allowed, 'link.png'));
    const rules = path.join(directory, 'references.json');
    writeFileSync(rules, JSON.stringify({ references: [allowed, `file://${allowed}`, 'https://cdn.example/fox'] }));
    strict = await startHarness({ env: { RIVYA_POLICY_FILE: rules, RIVYA_REFERENCE_ROOTS: directory } });
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test.concurrent.each<[string, Partial<GenerateMediaInput>]>([
    ['a file', { references: [{ kind: 'image', path: path.join(directory, 'fox.png') }] }],
    ['a link to a file', { references: [{ kind: 'image', path: path.join(allowed, 'link.png') }] }],
    ['an address', { references: [{ kind: 'image', url: 'https://cdn.example/fox-hunt/1.png' }] }],
    [
      'an address that is written into the params',
      { params: { referenceMediaItems: [{ kind: 'image', url: 'https://elsewhere.example/1.png' }] } },
    ],
  ])('outside of the policy are denied: %s', async (prompt, input) => {
    const error = await strict.client
      .start({ model: 'sora-2', prompt, ...input })
      .then((handle) => handle.result())
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'PolicyDenied', message: expect.stringContaining('change "references"') });
    expect(strict.emulator.requests().filter(({ body }) => body.includes(`"${prompt}"`))).toEqual([]);
  });

  test('an allowed link that leads elsewhere is not followed, nor is a fresh one of its task', async () => {
    await using own = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
    const first = await own.startWorkers();
    const make = async (prompt: string) => (await own.client.start({ model: 'z-image', prompt })).result();
    const [theirs, redirected] = [await make('of another team'), await make('redirected')];
    await first.stop();
    const faults: Fault[] = [
      { on: 'media', prompt: 'redirected', do: { kind: 'redirect', location: theirs.urls[0]! } },
    ];
    own.emulator.setFaults(faults);
    const places = [redirected.urls[0]!, `${own.emulator.url}/allowed`];
    await own.startWorkers({ policy: parsePolicy({ references: places }, 'two places') });
    const gone = { ...theirs, urls: [`${own.emulator.url}/allowed/gone.png`] };
    for (const from of [theirs, gone, redirected]) {
      const references = [{ from, kind: 'image' as const }];
      const handle = await own.client.start({ model: 'sora-2', prompt: 'theirs', references });
      await expect(handle.result()).rejects.toMatchObject({ code: 'PolicyDenied' });
    }
    const { files, paidTasks } = await own.emulator.ledger();
    expect([files, paidTasks]).toEqual([{}, 2]);
  });

  test('below it are uploaded, and what they are uploaded to is not denied', async () => {
    const references = [{ kind: 'image', path: path.join(allowed, 'fox.png') }] as const;
    const handle = await strict.client.start({ model: 'sora-2', prompt: 'allowed', references });
    const { taskId } = await handle.result();
    const { files, tasks } = await strict.emulator.ledger();
    expect(Object.keys(tasks)).toEqual([taskId]);
    expect(Object.values(files)).toMatchObject([{ name: 'fox.png' }]);
  });

  test('are not known by a digest alone, which anybody can write into an input', async () => {
    const picture = path.join(allowed, 'secret.png');
    writeFileSync(picture, drawPicture('known by its digest', 'z-image', {}));
    const up = await strict.client.start({
      model: 'sora-2',
      prompt: 'uploaded',
      references: [{ kind: 'image', path: picture }],
    });
    const result = await up.result();
    const sha256 = createHash('sha256').update(readFileSync(picture)).digest('hex');
    const made = {
      uri: `file://${allowed}/none.png`,
      bytes: 1,
      sha256,
      contentType: 'image/png',
      sourceUrl: 'https://x.example/',
    };
    const references = [{ kind: 'image', from: { ...result, files: [made] } }] as const;
    const handle = await strict.client.start({ model: 'sora-2', prompt: 'by its digest', references });
    await expect(handle.result()).rejects.toMatchObject({ code: 'InvalidInput' });
    expect(Object.values((await strict.emulator.ledger()).tasks).map(({ prompt }) => prompt)).not.toContain(
      'by its digest',
    );
  });
});
