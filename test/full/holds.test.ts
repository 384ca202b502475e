/** A hold that lasts for days. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drawPicture } from '../../src/emulator/picture.js';
import { startHarness, type Harness } from '../support/harness.js';

let harness: Harness;
/** Releases all that are held by the key, as the account does. */
let releasing: NodeJS.Timeout;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'rivya-holds-'));
  // A real server asks for a new run after 4,096 events: some days of a key that comes and goes.
  const dynamicConfig = { 'limit.historyCount.suggestContinueAsNew': '20' };
  harness = await startHarness({
    account: false,
    dynamicConfig,
    env: { RIVYA_REFERENCE_ROOTS: root },
    emulator: {
      faults: [
        { on: 'status', prompt: 'checked', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
        { on: 'create', prompt: 'submitted', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
        { on: 'upload', prompt: 'second.png', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
      ],
    },
  });
});
beforeAll(() => {
  const held = ['checked', 'submitted', 'uploaded'];
  const release = async (id: string): Promise<void> =>
    harness.temporal.workflow.getHandle(id).signal('resume', { code: 'api_key_revoked' });
  releasing = setInterval(() => held.forEach((id) => void release(id).catch(() => undefined)), 3_000);
});
afterAll(async () => {
  clearInterval(releasing);
  await harness[Symbol.asyncDispose]();
  await rm(root, { recursive: true });
});

test.concurrent('continues as new, with its task, and is paid once', async () => {
  const prompts = ['checked', 'submitted'];
  const runs = await Promise.all(
    prompts.map(async (prompt) => {
      const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
      const { runId } = await handle.describe();
      const result = await handle.result();
      expect((await handle.describe()).runId).not.toBe(runId);
      return result;
    }),
  );
  expect(runs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  const { tasks } = await harness.emulator.ledger();
  const made = Object.values(tasks).flatMap(({ prompt }) => prompt ?? []);
  expect(made.filter((prompt) => prompts.includes(prompt)).toSorted()).toEqual(prompts);
});

test.concurrent('of an upload continues as new, uploads nothing twice, and is paid once', async () => {
  const references = await Promise.all(
    ['first.png', 'second.png'].map(async (name) => {
      const file = path.join(root, name);
      await writeFile(file, drawPicture(name, 'z-image', {}));
      return { path: file, kind: 'image' } as const;
    }),
  );
  const input = { model: 'gpt-image-2', prompt: 'from two', references };
  const handle = await harness.client.start(input, { workflowId: 'uploaded' });
  const { runId } = await handle.describe();
  const { taskId } = await handle.result();
  expect((await handle.describe()).runId).not.toBe(runId);
  const { tasks, files } = await harness.emulator.ledger();
  expect(Object.keys(tasks).filter((id) => tasks[id]!.prompt === input.prompt)).toEqual([taskId]);
  expect(Object.values(files).map(({ name }) => name)).toEqual(['first.png', 'second.png']);
});
