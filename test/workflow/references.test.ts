/** References: uploaded before the submit, the same generation after a reset, and nothing paid for a wrong one. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { GenerationError, memoOf, type GenerationHandle } from '../../src/client.js';
import { readSettings } from '../../src/config.js';
import type {
  GenerateMediaInput,
  GenerationResult,
  GenerationState,
  ReferenceInput,
} from '../../src/contract/index.js';
import { drawPicture } from '../../src/emulator/picture.js';
import type { EmulatorSwitches, Fault, LedgerFile, LedgerTask } from '../../src/emulator/index.js';
import { startWorkers } from '../../src/worker/workers.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

const PNG = drawPicture('a reference', 'z-image', {});
const TUNE = readFileSync(new URL('../../src/emulator/assets/simulated.mp3', import.meta.url));

let root: string;
let outside: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'rivya-references-'));
  outside = await mkdtemp(path.join(tmpdir(), 'rivya-outside-'));
});
afterAll(() => Promise.all([root, outside].map((directory) => rm(directory, { recursive: true }))));

async function fileOf(name: string, content: Uint8Array = PNG): Promise<string> {
  const file = path.join(root, name);
  await writeFile(file, content);
  return file;
}

function requestOf(prompt: string, ...references: readonly ReferenceInput[]): GenerateMediaInput {
  return { model: 'sora-2', prompt, references };
}

async function tasksOf({ emulator }: Harness, prompt: string): Promise<LedgerTask[]> {
  return Object.values((await emulator.ledger()).tasks).filter((task) => task.prompt === prompt);
}

async function filesOf({ emulator }: Harness, name: string): Promise<LedgerFile[]> {
  return Object.values((await emulator.ledger()).files).filter((file) => file.name === name);
}

async function bodiesOf({ emulator }: Harness, prompt: string): Promise<readonly string[]> {
  const { keys, tasks } = await emulator.ledger();
  const key = Object.values(tasks).find((task) => task.prompt === prompt)?.key;
  return keys[key ?? '']?.bodies ?? [];
}

/** Resets a pipeline to its start once both of its tasks are known. Each must be paid once, and be the same. */
async function resetPipeline(harness: Harness, workflowId: string): Promise<void> {
  const options = { taskQueue: harness.taskQueue };
  const image = { model: 'z-image', prompt: `image ${workflowId}`, options };
  const video = { model: 'sora-2', prompt: `video ${workflowId}`, options };
  const { taskQueue } = harness;
  const { workflow } = harness.temporal;
  await workflow.start('imageThenVideo', { workflowId, taskQueue, args: [image, video] });
  await until(async () => (await tasksOf(harness, video.prompt)).some(({ checks }) => checks.length > 0));
  const tasks = async (): Promise<string[]> => Object.keys((await harness.emulator.ledger()).tasks);
  const before = await tasks();
  await resetToStart(harness.temporal, workflowId);
  const ended = workflow.getHandle(workflowId).result() as Promise<GenerationResult[]>;
  await expect(ended).resolves.toHaveLength(2);
  const results = await ended;
  expect(results.map(({ reused }) => reused)).toEqual([true, true]);
  expect(before).toEqual(expect.arrayContaining(results.map(({ taskId }) => taskId)));
  for (const { prompt } of [image, video]) expect(await tasksOf(harness, prompt)).toHaveLength(1);
  expect(await bodiesOf(harness, video.prompt)).toHaveLength(1);
}

const LOST: Fault = { on: 'create', do: { kind: 'dropAfter' } };
const SHORT_JOBS = { durations: { image: 800, video: 4_000 }, switches: { keyLifetimeMs: 1 } };

// Who remembers, when the API has forgotten the key.
describe.concurrent.each<[string, NodeJS.ProcessEnv, Partial<EmulatorSwitches>]>([
  ['without a store', { RIVYA_STORE: '' }, {}],
  ['with a store', {}, {}],
  ['without a store, by an API that tells only the address', { RIVYA_STORE: '' }, { fileBody: 'short' }],
])('%s', (how, env, switches) => {
  let harness: Harness;
  beforeAll(async () => {
    const emulator = { ...SHORT_JOBS, switches: { ...SHORT_JOBS.switches, ...switches } };
    harness = await startHarness({ env: { RIVYA_REFERENCE_ROOTS: root, ...env }, emulator });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('an image, and a video from it: after a reset each is paid once and is the same task', async () => {
    await resetPipeline(harness, `pipeline ${how}`);
    // The file of the first step, by its name in the store or in its link.
    expect(await filesOf(harness, '1.png')).toHaveLength(1);
  });

  test('a file of the Worker: paid once over terminate and a start without the file, which fails by name', async () => {
    const prompt = `local ${how}`;
    const file = await fileOf(`local ${how}.png`);
    const input = requestOf(prompt, { path: file, kind: 'image', name: 'The Fox' });
    const first = await harness.client.start(input, { workflowId: prompt });
    await until(async () => (await stateOf(first)).taskId !== null);
    const { taskId } = await stateOf(first);
    await harness.temporal.workflow.getHandle(prompt).terminate('test');
    await rm(file);
    const again = await harness.client.start(input, { workflowId: prompt });
    await expect(again.result()).rejects.toMatchObject({
      code: 'InvalidInput',
      message: expect.stringMatching(/^references\[0\]\.path: .*does not exist/),
    });
    await fileOf(`local ${how}.png`);
    const back = await harness.client.start(input, { workflowId: prompt });
    expect(await back.result()).toMatchObject({ taskId, reused: true });
    expect(await tasksOf(harness, prompt)).toHaveLength(1);
  });

  test('a file that has changed under the same Workflow ID never gets the result of the first', async () => {
    const prompt = `changed ${how}`;
    const file = await fileOf(`changed ${how}.png`);
    const input = requestOf(prompt, { path: file, kind: 'image' });
    await (await harness.client.start(input, { workflowId: prompt })).result();
    await fileOf(`changed ${how}.png`, drawPicture('another', 'z-image', {}));
    await resetToStart(harness.temporal, prompt);
    await expect(harness.client.handle(prompt).result()).rejects.toMatchObject({ code: 'InputChanged' });
    expect(await tasksOf(harness, prompt)).toHaveLength(1);
  });
});

test.concurrent.each<[string, NodeJS.ProcessEnv]>([
  ['without a store', { RIVYA_STORE: '' }],
  ['with a store', {}],
])('an upload that the API has lost as well is made again, and its task is the same: %s', async (how, env) => {
  await using harness = await startHarness({ env, emulator: SHORT_JOBS });
  const image = await (await harness.client.start({ model: 'z-image', prompt: 'a source' })).result();
  const prompt = `lost upload ${how}`;
  const input = requestOf(prompt, { from: image, kind: 'image' });
  const handle = await harness.client.start(input, { workflowId: prompt });
  await until(async () => (await stateOf(handle)).taskId !== null);
  const { taskId } = await stateOf(handle);
  harness.emulator.setSwitches({ fileLifetimeMs: 1 });
  await resetToStart(harness.temporal, prompt);
  expect(await handle.result()).toMatchObject({ taskId, reused: true });
  expect(await filesOf(harness, '1.png')).toHaveLength(2);
  expect(await tasksOf(harness, prompt)).toHaveLength(1);
});

async function itemOf(harness: Harness, prompt: string): Promise<{ url: string; durationToken?: string }> {
  const [body] = await bodiesOf(harness, prompt);
  return (JSON.parse(body!) as { params: { referenceMediaItems: never[] } }).params.referenceMediaItems[0]!;
}

/** The API's list of models without the model of these references. */
const WITHOUT_SORA = { object: 'list', data: [{ id: 'z-image', category: 'image' }] };

test.concurrent.each<[string, NodeJS.ProcessEnv, Fault[], string]>([
  ['a paid task, without a store', { RIVYA_STORE: '' }, [], 'task'],
  ['a paid task, with a store', {}, [], 'task'],
  ['a POST without an answer, without a store', { RIVYA_STORE: '' }, [LOST], 'POST'],
  ['a POST without an answer, with a store', {}, [LOST], 'POST'],
])('%s: its generation is paid once, also where its model is off the list by then', async (how, env, faults, made) => {
  // The address of an upload is a part of the request that is repeated.
  const emulator = { faults, durations: { video: 60_000 }, switches: { fileAgain: 'same' as const } };
  await using harness = await startHarness({ env: { RIVYA_REFERENCE_ROOTS: root, ...env }, emulator, workers: false });
  const before = await harness.startWorkers();
  const file = await fileOf(`off the list ${how}.png`, drawPicture(how, 'z-image', {}));
  const input = requestOf(how, { path: file, kind: 'image' });
  const first = await harness.client.start(input, { workflowId: how });
  const isKnown = async (): Promise<boolean> => made === 'POST' || (await stateOf(first)).taskId !== null;
  await until(async () => (await tasksOf(harness, how)).length === 1 && (await isKnown()));
  await harness.temporal.workflow.getHandle(how).terminate('test');
  await before.stop();
  harness.emulator.setFaults([
    { on: 'models', do: { kind: 'reply', status: 200, body: JSON.stringify(WITHOUT_SORA) } },
  ]);
  await harness.startWorkers();
  const again = await harness.client.start(input, { workflowId: how });
  const [taskId] = Object.keys((await harness.emulator.ledger()).tasks);
  await until(async () => (await stateOf(again)).taskId !== null);
  expect(await stateOf(again)).toMatchObject({ taskId });
  expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  const other = await harness.client.start({ ...input, prompt: 'a new one' }, { workflowId: `new ${how}` });
  await expect(other.result()).rejects.toMatchObject({ code: 'InvalidInput', details: { field: 'model' } });
});

describe.concurrent('one reference', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({
      env: { RIVYA_REFERENCE_ROOTS: `${root}/, ${path.join(root, 'missing')}` },
      emulator: {
        switches: { durationToken: 'required' },
        faults: [
          { on: 'upload', prompt: 'lost', times: 2, do: { kind: 'dropAfter' } },
          { on: 'upload', prompt: 'scope', times: 1, do: { kind: 'error', code: 'api_scope_denied' } },
          { on: 'upload', prompt: 'no-hold', do: { kind: 'error', code: 'api_scope_denied' } },
          { on: 'upload', prompt: 'slow', do: { kind: 'delayBefore', ms: 600_000 } },
          { on: 'upload', prompt: 'odd', do: { kind: 'reply', status: 201, body: '{"id":"file_1"}' } },
          { on: 'create', prompt: 'twice', times: 1, do: { kind: 'fail' } },
        ],
      },
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  const start = (prompt: string, reference: ReferenceInput, more = {}): Promise<GenerationHandle> =>
    harness.client.start({ ...requestOf(prompt, reference), ...more }, { workflowId: `reference ${prompt}` });

  test('stands in the body as it was given and uploaded, and is what was paid for', async () => {
    // Bytes of its own: the account keeps one upload of the same bytes, under the name that came first.
    const file = await fileOf('hero.png', drawPicture('the hero', 'z-image', {}));
    const references = [
      { path: file, kind: 'image' as const, name: 'The Hero', mimeType: 'image/png' },
      { url: 'https://cdn.example/a.jpg?sig=x', kind: 'image' as const },
    ];
    const input = { ...requestOf('hero', ...references), params: { n_frames: '10' } };
    const handle = await harness.client.start(input, { workflowId: 'hero' });
    await handle.result();
    const { files } = await harness.emulator.ledger();
    const [id] = Object.entries(files).find(([, { name }]) => name === 'The-Hero')!;
    const [body] = await bodiesOf(harness, 'hero');
    expect(JSON.parse(body!)).toEqual({
      model: 'sora-2',
      prompt: 'hero',
      params: {
        n_frames: '10',
        referenceMediaItems: [
          { url: `${harness.emulator.url}/files/${id}`, kind: 'image', name: 'The Hero', mimeType: 'image/png' },
          { url: 'https://cdn.example/a.jpg?sig=x', kind: 'image' },
        ],
      },
    });
  });

  test('video carries the token of its upload', async () => {
    const taken = await (await start('a film', { path: await fileOf('film.png'), kind: 'image' })).result();
    await (await start('from a film', { from: taken, kind: 'video' })).result();
    expect((await itemOf(harness, 'from a film')).durationToken).toMatch(/^dur_/);
  });

  test('is uploaded once for many generations and attempts', async () => {
    const file = await fileOf('many.png', drawPicture('many', 'z-image', {}));
    const reference = { path: file, kind: 'image' as const };
    await (await start('many', reference)).result();
    await (await start('twice', reference, { options: { maxAttempts: 2 } })).result();
    expect(await filesOf(harness, 'many.png')).toHaveLength(1);
    expect(await tasksOf(harness, 'twice')).toHaveLength(2);
  });

  test('a lost answer to an upload is repeated, and one task is paid', async () => {
    const file = await fileOf('lost.png', drawPicture('lost', 'z-image', {}));
    await (await start('lost', { path: file, kind: 'image' })).result();
    expect(await filesOf(harness, 'lost.png')).toHaveLength(3);
    expect(await tasksOf(harness, 'lost')).toHaveLength(1);
  });

  test('a key without the scope holds, and resume goes on', async () => {
    const file = await fileOf('scope.png', drawPicture('scope', 'z-image', {}));
    const handle = await start('scope', { path: file, kind: 'image' });
    await until(async () => ((await handle.state()) as GenerationState | null)?.hold?.code === 'api_scope_denied');
    expect(await tasksOf(harness, 'scope')).toHaveLength(0);
    await handle.resume();
    await handle.result();
    expect(await tasksOf(harness, 'scope')).toHaveLength(1);
  });

  test('a key without the scope fails where no hold is wanted, and nothing is paid', async () => {
    const file = await fileOf('no-hold.png', drawPicture('no hold', 'z-image', {}));
    const handle = await start('no hold', { path: file, kind: 'image' }, { options: { onActionNeeded: 'fail' } });
    await expect(handle.result()).rejects.toMatchObject({
      code: 'api_scope_denied',
      message: expect.stringContaining('An upload costs nothing'),
      details: { httpStatus: 403, taskId: null },
    });
    expect(await tasksOf(harness, 'no hold')).toEqual([]);
  });

  test('a cancel during an upload ends it at once, and nothing is paid or left open', async () => {
    const file = await fileOf('slow.png', drawPicture('slow', 'z-image', {}));
    const handle = await start('slow', { path: file, kind: 'image' });
    await until(() => harness.emulator.requests().some(({ body }) => body.includes('slow.png')));
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ code: 'Cancelled' });
    const { status } = await handle.describe();
    expect(status.name).toBe('CANCELLED');
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'cancelled', taskId: null, mayPostSince: null });
    expect(await tasksOf(harness, 'slow')).toEqual([]);
  });

  async function failureOf(prompt: string, reference: ReferenceInput, more = {}): Promise<GenerationError> {
    const error = await (await start(prompt, reference, more)).result().catch((failed: unknown) => failed);
    expect(error).toBeInstanceOf(GenerationError);
    expect((error as Error).message).toMatch(/nothing was paid/i);
    expect(await tasksOf(harness, prompt)).toEqual([]);
    return error as GenerationError;
  }

  const tooLarge = Buffer.concat([PNG, Buffer.alloc(10 * 1024 * 1024)]);
  const wrong: readonly (readonly [string, string, () => Promise<string>, RegExp])[] = [
    ['a file that is not there', 'path', async () => path.join(root, 'none.png'), /does not exist/],
    [
      'a file outside of the roots',
      'path',
      async () => '/etc/passwd',
      /outside of the directories in RIVYA_REFERENCE_ROOTS/,
    ],
    ['a way out of the roots', 'path', async () => `${root}/../${path.basename(outside)}/x.png`, /outside of/],
    ['an empty file', 'path', () => fileOf('empty.png', Buffer.alloc(0)), /is empty/],
    ['a folder', 'path', async () => `${root}/.`, /outside of|no regular file/],
    [
      'a file that is no media',
      'path',
      () => fileOf('text.png', Buffer.from('hello')),
      /is text\/plain; for image the API takes/,
    ],
    ['a file of no known type', 'path', () => fileOf('raw.png', Buffer.alloc(9_000)), /no file of a known type/],
    ['a file of another kind', 'path', () => fileOf('tune.png', TUNE), /audio\/mpeg; for image/],
    ['a file that is too large', 'path', () => fileOf('large.png', tooLarge), /larger than the 10485760 bytes/],
  ];
  test.each(wrong)('%s: fails by name, and no byte leaves', async (title, field, make, why) => {
    const file = await make();
    const failed = await failureOf(title, { path: file, kind: 'image' });
    const sent = harness.emulator.requests().filter(({ path: to, body }) => to === '/api/v1/files' && body !== '');
    expect(sent.map(({ body }) => body)).not.toContain(path.basename(file));
    expect(failed).toMatchObject({ code: 'InvalidInput', details: { field: `references[0].${field}` } });
    expect(failed.message).toMatch(why);
  });

  test('a link that leads out of the roots is not followed', async () => {
    await writeFile(path.join(outside, 'secret.png'), PNG);
    const link = path.join(root, 'link.png');
    await symlink(path.join(outside, 'secret.png'), link);
    expect((await failureOf('link', { path: link, kind: 'image' })).message).toMatch(/outside of/);
  });

  test('a URI outside of the store is refused', async () => {
    const failed = await failureOf('uri', { uri: `file://${root}/hero.png`, kind: 'image' });
    expect(failed).toMatchObject({ code: 'InvalidInput', details: { field: 'references[0].uri' } });
  });

  test('a model that takes none refuses the upload', async () => {
    const file = await fileOf('model.png', drawPicture('model', 'z-image', {}));
    const failed = await failureOf('model', { path: file, kind: 'image' }, { model: 'z-image' });
    expect(failed).toMatchObject({ code: 'InvalidInput', details: { httpStatus: 400 } });
    expect(failed.message).toMatch(/takes no references/);
  });

  test('a wrong model is blamed on the model, not on the file, and no byte leaves', async () => {
    const file = await fileOf('mistyped.png', drawPicture('mistyped', 'z-image', {}));
    const failed = await failureOf('mistyped', { path: file, kind: 'image' }, { model: 'sora2' });
    expect(failed).toMatchObject({
      code: 'InvalidInput',
      details: { field: 'model', action: expect.not.stringMatching(/reference/) },
    });
    expect(failed.message).toMatch(/^model: the list of models has no "sora2" \(did you mean "sora-2"\?\)/);
    expect(await filesOf(harness, 'mistyped.png')).toEqual([]);
  });

  test('an upload whose answer names no address fails and says what to do', async () => {
    const file = await fileOf('odd.png', drawPicture('odd', 'z-image', {}));
    expect((await failureOf('odd', { path: file, kind: 'image' })).message).toMatch(/names no url for it; give/);
  });

  test('a type that the caller says and the file is not', async () => {
    const file = await fileOf('said.png');
    const failed = await failureOf('said', { path: file, kind: 'image', mimeType: 'image/webp' });
    expect(failed.message).toMatch(/is image\/png, not image\/webp/);
  });

  test('a key of another account uploads anew', async () => {
    const file = await fileOf('account.png', drawPicture('account', 'z-image', {}));
    await (await start('account a', { path: file, kind: 'image' })).result();
    const taskQueue = `${harness.taskQueue}-b`;
    const keys = [{ key: harness.emulator.apiKey }, { key: 'rvya_sk_other', account: 'acct_other' }];
    harness.emulator.setKeys(keys);
    const other = { ...harness.settings, ...keysOf('rvya_sk_other'), taskQueue };
    const workers = await startWorkers(other, {
      connection: harness.connection,
      namespace: harness.namespace,
      workflows: { workflowBundle: { codePath: inject('bundle') } },
    });
    const handle = await harness.temporal.workflow.start('generateMedia', {
      workflowId: 'account b',
      taskQueue,
      args: [requestOf('account b', { path: file, kind: 'image' })],
    });
    await handle.result();
    const accounts = (await filesOf(harness, 'account.png')).map(({ account }) => account);
    expect(accounts).toEqual(['acct_emulator', 'acct_other']);
    await workers.stop();
  });
});

function keysOf(apiKey: string): Pick<Harness['settings'], 'keys'> {
  const { keys } = readSettings({ RIVYA_API_KEY: apiKey });
  return { keys };
}

describe.concurrent('a reference that cannot be had for now', () => {
  test('holds, and goes on when it is back', async () => {
    await using harness = await startHarness({
      env: { RIVYA_STORE: '' },
      emulator: { faults: [{ on: 'media', times: 7, do: { kind: 'error', code: 'internal_error' } }] },
    });
    const first = await (await harness.client.start({ model: 'z-image', prompt: 'source' })).result();
    const input = requestOf('unavailable', { from: first, kind: 'image' });
    const handle = await harness.client.start(input, { workflowId: 'unavailable' });
    await until(async () => (await stateOf(handle)).hold?.code === 'ReferenceUnavailable', 120_000);
    expect(await tasksOf(harness, 'unavailable')).toEqual([]);
    await handle.resume();
    await handle.result();
    expect(await tasksOf(harness, 'unavailable')).toHaveLength(1);
  });
});
