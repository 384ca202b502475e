import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TaskSnapshot } from '../../src/contract/index.js';
import {
  FileStore,
  Receipts,
  Uploads,
  type KeyFolder,
  type ReceiptHead,
  type Store,
  type TaskReceipt,
} from '../../src/storage/index.js';

let directory: string;
let receipts: Receipts;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-receipts-'));
  receipts = new Receipts(new FileStore(`file:${directory}`), 'https://rivya.ai');
});
afterEach(() => rm(directory, { recursive: true }));

const head: ReceiptHead = {
  idempotencyKey: 'fox-1-abc',
  namespace: 'default',
  workflowId: 'fox-1',
  keyNumber: 1,
  attempt: 1,
  model: 'z-image',
  labels: { team: 'ads' },
  baseKey: 'fox-1-abc',
  bodyDigest: 'd1',
};
const task = (change: Partial<TaskSnapshot> = {}): TaskSnapshot => ({
  taskId: 'task_1',
  status: 'queued',
  model: 'z-image',
  kind: 'image',
  reservedCredits: 1,
  finalCredits: 0,
  createdAt: '2026-11-01T00:00:00.000Z',
  updatedAt: null,
  ageMs: 0,
  urls: [],
  error: null,
  simulated: false,
  requestId: null,
  ...change,
});
const unanswered = { firstPostedAt: 1_000, lastPostedAt: 2_000, fingerprint: 'f', errorRequestId: 'req_1' };
const files = async (): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));

test('a store that hangs is given up after 10 s, so that no submit waits in it for ever', async () => {
  const never = (): Promise<never> => new Promise(() => undefined);
  const store = { address: 'hung:', read: never, write: never, list: never } as unknown as Store;
  const hung = new Receipts(store, 'https://rivya.ai');
  vi.useFakeTimers();
  const calls = [
    hung.find('fox'),
    hung.noteSubmit(head, { unanswered: null, riskReason: null }),
    hung.noteTask(head, task()),
    hung.chats.find('fox'),
    new Uploads(store, 'https://rivya.ai').findUpload('key', 'sha256', { kind: 'image', model: 'sora-2' }),
  ].map((call) => expect(call).rejects.toMatchObject({ name: 'StoreUnavailable', retryable: true }));
  await vi.advanceTimersByTimeAsync(10_000);
  vi.useRealTimers();
  await Promise.all(calls);
});

describe('a receipt', () => {
  test('of an unanswered submit says since when, until its task is known', async () => {
    expect(await receipts.find(head.idempotencyKey)).toEqual({ submit: null, answers: [] });
    await receipts.noteSubmit(head, { unanswered, riskReason: null });
    expect((await receipts.find(head.idempotencyKey)).submit).toMatchObject({ ...head, unanswered });
    await receipts.noteTask(head, task());
    const known = await receipts.find(head.idempotencyKey);
    expect(known.submit?.unanswered).toBeNull();
    expect(known.answers).toMatchObject([{ ...head, taskId: 'task_1', reservedCredits: 1 }]);
  });

  test('of one key number says nothing of the next one, and all of a generation lie together', async () => {
    const second = { ...head, idempotencyKey: 'fox-1-def', keyNumber: 2, attempt: 2 };
    await receipts.noteTask(head, task({ status: 'failed' }));
    await receipts.noteSubmit(second, { unanswered, riskReason: 'not in the Studio' });
    expect(await receipts.find(head.baseKey)).toMatchObject({
      submit: { keyNumber: 2, attempt: 2, unanswered, riskReason: 'not in the Studio' },
      answers: [{ keyNumber: 1, taskId: 'task_1' }],
    });
    await receipts.noteTask(second, task({ taskId: 'task_2' }));
    expect((await receipts.find(head.baseKey)).answers).toMatchObject([{ keyNumber: 1 }, { keyNumber: 2 }]);
  });

  test('of a task tells whose it is, by the ID of the task alone', async () => {
    expect(await receipts.ownerOf('task_1')).toBeNull();
    await receipts.noteTask(head, task());
    expect(await receipts.ownerOf('task_1')).toMatchObject({ baseKey: head.baseKey, workflowId: 'fox-1' });
  });

  test('of a task learns how it ended, and a short answer takes nothing away', async () => {
    await receipts.noteTask(head, task());
    const [{ at } = { at: '' }] = (await receipts.find(head.idempotencyKey)).answers;
    await receipts.noteEnd(
      head.idempotencyKey,
      1,
      task({ status: 'succeeded', reservedCredits: null, finalCredits: 1 }),
    );
    expect((await receipts.find(head.idempotencyKey)).answers).toMatchObject([
      { status: 'succeeded', reservedCredits: 1, finalCredits: 1, createdAt: '2026-11-01T00:00:00.000Z', at },
    ]);
  });

  test('of an end is not made up where nothing is known of the key', async () => {
    await receipts.noteEnd('another-key', 1, task({ status: 'succeeded' }));
    expect(await files()).toEqual([]);
  });

  test('of an end is not taken for that of another key number', async () => {
    await receipts.noteSubmit({ ...head, keyNumber: 2 }, { unanswered: null, riskReason: null });
    await receipts.noteEnd(head.baseKey, 1, task({ status: 'failed' }));
    expect((await receipts.find(head.baseKey)).answers).toEqual([]);
  });

  test('shows a second task under one key, whatever the API calls it', async () => {
    for (const taskId of ['task_1', '../../task', 'task/2', 'TASK_1']) await receipts.noteTask(head, task({ taskId }));
    const { answers } = await receipts.find(head.idempotencyKey);
    expect(answers.map(({ taskId }) => taskId).toSorted()).toEqual(['../../task', 'TASK_1', 'task/2', 'task_1']);
    const roots = ['receipts', 'tasks'].map((kind) => path.join(directory, '.rivya', kind, 'rivya.ai') + path.sep);
    expect((await files()).filter((file) => !roots.some((root) => file.startsWith(root)))).toEqual([]);
  });

  test('of one API is not known to another, so a task of the emulator is never taken for a real one', async () => {
    await receipts.noteTask(head, task());
    const other = new Receipts(new FileStore(`file:${directory}`), 'http://127.0.0.1:8080');
    expect((await other.find(head.idempotencyKey)).answers).toEqual([]);
  });

  test('that cannot be read stops the submit: it may know a task', async () => {
    await receipts.noteTask(head, task());
    const file = (await files()).find((name) => name.includes('task-')) ?? '';
    const whole = await readFile(file, 'utf8');
    for (const damaged of ['', whole.slice(0, 40), '{}', whole.replace('"version": 1', '"version": 2')]) {
      await writeFile(file, damaged);
      await expect(receipts.find(head.idempotencyKey)).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringContaining('nothing is submitted'),
      });
    }
  });

  test('is read although a file manager has left a file of its own among them', async () => {
    await receipts.noteTask(head, task());
    await writeFile(path.join(directory, '.rivya', 'receipts', 'rivya.ai', '.DS_Store'), 'x');
    const all: KeyFolder<TaskReceipt>[] = [];
    for await (const known of receipts.all()) all.push(known);
    expect(all).toMatchObject([{ answers: [{ taskId: 'task_1' }] }]);
  });

  test('of every key is found', async () => {
    for (const name of ['a', 'B', 'b', 'order/4711']) {
      await receipts.noteTask({ ...head, idempotencyKey: name, baseKey: name }, task());
    }
    const all: KeyFolder<TaskReceipt>[] = [];
    for await (const known of receipts.all()) all.push(known);
    expect(all.map(({ answers }) => answers[0]!.idempotencyKey).toSorted()).toEqual(['B', 'a', 'b', 'order/4711']);
  });
});
