/** What chats cost stands in their receipts, beside what generations cost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chargesOf, totalsOf } from '../../src/cli/charges.js';
import { recordsOfReceipts } from '../../src/cli/charges-sources.js';
import type { ChatAnswer } from '../../src/contract/index.js';
import { FileStore, Receipts, type ReceiptHead } from '../../src/storage/index.js';

let directory: string;
let receipts: Receipts;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-chats-'));
  receipts = new Receipts(new FileStore(`file:${directory}`), 'https://rivya.ai');
});
afterEach(() => rm(directory, { recursive: true }));

const head: ReceiptHead = {
  idempotencyKey: 'fox-1-abc',
  namespace: 'default',
  workflowId: 'fox-1',
  step: 'prompt',
  take: 1,
  attempt: 1,
  model: 'gpt-5-2-chat',
  labels: { team: 'ads' },
  firstKey: 'fox-1-abc',
  bodyDigest: 'd1',
};
const answer = (id: string | null): ChatAnswer => ({
  id,
  sessionId: 'chatsess_1',
  messageId: null,
  content: 'A fox.',
  truncated: false,
  model: 'gpt-5-2-chat',
  usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
  reservedCredits: 3,
  finalCredits: 2,
  createdAt: '2026-11-01T00:00:00.000Z',
  simulated: false,
});
const fence = { firstPostedAt: 1_000, fingerprint: 'f', idempotencyKey: 'fox-1-abc' };

describe('charges', () => {
  test('show a chat with what it cost', async () => {
    await receipts.chats.noteSubmit(head, { unanswered: fence, riskReason: null });
    await receipts.chats.noteAnswer(head, answer('chatcmpl_1'));
    // The same answer again is no second payment.
    await receipts.chats.noteAnswer(head, answer('chatcmpl_1'));
    const charges = chargesOf(await recordsOfReceipts(receipts));
    expect(charges).toMatchObject([
      {
        workflowId: 'fox-1',
        step: 'prompt',
        tasks: [{ taskId: 'chatcmpl_1', finalCredits: 2, settled: true }],
        flags: [],
      },
    ]);
    expect(totalsOf(charges)).toMatchObject({ tasks: 1, reservedCredits: 3, finalCredits: 2, unsettledTasks: 0 });
  });

  test.each(['chatcmpl_2', null])('say that a chat was paid twice (second answer: %s)', async (second) => {
    await receipts.chats.noteAnswer(head, answer('chatcmpl_1'));
    await receipts.chats.noteAnswer(head, answer(second));
    const [charge] = chargesOf(await recordsOfReceipts(receipts));
    expect(charge?.flags).toMatchObject([{ code: 'paidTwice' }]);
  });

  test('say that a chat without an answer may be paid', async () => {
    await receipts.chats.noteSubmit(head, { unanswered: fence, riskReason: null });
    const [charge] = chargesOf(await recordsOfReceipts(receipts));
    expect(charge?.flags).toMatchObject([{ code: 'mayBePaid' }]);
  });
});
