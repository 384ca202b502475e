/** One attempt of a chat on its own, where neither Temporal nor the API remembers. The emulator is the judge. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { postChat } from '../../activities/chat.js';
import { createRivyaClient, staticKey, type RivyaClient } from '../../src/api/index.js';
import type { ChatAnswer, PaidCallInput, PaidCallResult } from '../../src/contract/index.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { FileStore, Receipts } from '../../src/storage/index.js';
import { fakeService } from './service.js';

const input: PaidCallInput = {
  idempotencyKey: 'fox-1',
  baseKey: 'fox-1',
  keyNumber: 1,
  attempt: 1,
  model: 'gpt-5-2-chat',
  labels: {},
  body: '{"model":"gpt-5-2-chat","message":"a fox"}',
  idempotencyWindowMs: 600_000,
  unanswered: null,
  lookedBy: null,
  riskReason: null,
};

let emulator: Emulator;
let directory: string;
let api: RivyaClient;
beforeEach(async () => {
  emulator = await startEmulator({ switches: { keyLifetimeMs: 1 } });
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-chat-'));
  api = createRivyaClient({ baseUrl: emulator.url, keys: staticKey(emulator.apiKey) });
});
afterEach(async () => {
  await api.close();
  await emulator.close();
  await rm(directory, { recursive: true });
});

/** One attempt, on a Service that knows no other run. */
async function attempt(chat: PaidCallInput = input): Promise<PaidCallResult<ChatAnswer> & { answer: ChatAnswer }> {
  const receipts = new Receipts(new FileStore(`file:${directory}`), emulator.url);
  const dependencies = { api, keys: staticKey(emulator.apiKey), receipts };
  const environment = new MockActivityEnvironment({ workflowType: 'rivyaChat' }, { client: fakeService().client });
  const result: PaidCallResult<ChatAnswer> = await environment.run(() => postChat(chat, dependencies));
  return { ...result, answer: result.answer! };
}

const posts = (): number => emulator.requests().filter(({ method }) => method === 'POST').length;

describe('the receipt of a chat', () => {
  test('brings back the answer, without a POST', async () => {
    const { answer } = await attempt();
    expect(await attempt()).toMatchObject({ answer, idempotencyKey: 'fox-1', reused: true });
    expect(posts()).toBe(1);
    expect((await emulator.ledger()).keys['fox-1']).toMatchObject({ tasks: [answer.id] });
  });

  test('is never the answer to another message', async () => {
    await attempt();
    const body = '{"model":"gpt-5-2-chat","message":"a wolf"}';
    await expect(attempt({ ...input, body })).rejects.toMatchObject({ type: 'InputChanged' });
    expect(posts()).toBe(1);
  });

  test('holds the whole of an answer that a history cannot carry', async () => {
    const content = 'x'.repeat(1_500_000);
    const body = JSON.stringify({ id: 'chatcmpl_long', message: { content } });
    emulator.setFaults([{ on: 'chat', do: { kind: 'replyAfter', status: 200, body } }]);
    for (const { answer } of [await attempt(), await attempt()]) {
      expect(answer).toMatchObject({ truncated: true, id: 'chatcmpl_long' });
      expect(answer.content).toHaveLength(999_998);
    }
    expect(posts()).toBe(1);
    const files = await readdir(path.join(directory, '.rivya', 'chats'), { recursive: true });
    const file = path.join('.rivya', 'chats', files.find((name) => path.basename(name).startsWith('answer-')) ?? '');
    const receipt = JSON.parse(await readFile(path.join(directory, file), 'utf8')) as { answer: ChatAnswer };
    expect(receipt.answer).toMatchObject({ content, truncated: false });
  });
});

test('a session that is busy because our own POST may still run is asked again; without one, it is refused', async () => {
  emulator.setFaults([{ on: 'chat', do: { kind: 'error', code: 'chat_session_conflict' } }]);
  await expect(attempt()).rejects.toMatchObject({ type: 'chat_session_conflict' });
  const unanswered = { firstPostedAt: Date.now() - 1_000, fingerprint: 'unknown' };
  await expect(attempt({ ...input, unanswered })).rejects.toMatchObject({
    type: 'repeated:chat_session_conflict',
    nonRetryable: false,
  });
});

test.each([
  ['a task, which is no chat', '{"id":"task_1","status":"queued","model":"z-image"}'],
  ['an error of somebody on the way', '{"message":"bad gateway"}'],
])('%s is no answer: the chat may be paid, and is asked for again', async (_, body) => {
  emulator.setFaults([{ on: 'chat', do: { kind: 'replyAfter', status: 200, body } }]);
  await expect(attempt()).rejects.toMatchObject({
    nonRetryable: false,
    message: expect.stringContaining('It may have been answered and paid for'),
    details: [{ idempotencyKey: 'fox-1', unanswered: { firstPostedAt: expect.any(Number) } }],
  });
});
