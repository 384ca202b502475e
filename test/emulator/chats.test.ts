import { describe, expect, test } from 'vitest';
import { ask, credits, emulatorFor, type Answer } from './helpers.js';

const CHAT = '/api/v1/chat/completions';
const HELLO = { model: 'gpt-5-2-chat', message: 'Hello' };

function chat(emulator: Parameters<typeof ask>[0], body: unknown, idempotencyKey?: string): Promise<Answer> {
  return ask(emulator, CHAT, { body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) });
}

test('an answer has the documented shape, and its credits are settled', async () => {
  const emulator = await emulatorFor({ credits: 10 });
  const { status, body } = await chat(emulator, HELLO, 'k');
  expect(status).toBe(200);
  expect(body).toEqual({
    id: expect.stringMatching(/^chatcmpl_/),
    object: 'chat.completion',
    session_id: expect.any(String),
    model: 'gpt-5-2-chat',
    created_at: expect.any(String),
    message: { id: expect.any(String), role: 'assistant', content: 'Simulated answer: Hello' },
    usage: { input_tokens: 2, output_tokens: 6, total_tokens: 8 },
    credits: { reserved: 3, final: 2 },
  });
  expect(await credits(emulator)).toBe(8);
  const ledger = await emulator.ledger();
  expect(ledger.keys['k']).toEqual({
    tasks: [body.id],
    posts: 1,
    faulted: 0,
    bodies: [JSON.stringify(HELLO)],
    charged: 3,
  });
  expect(ledger.chats[body.id]).toMatchObject({ message: 'Hello', key: 'k', sessionId: body.session_id });
  expect(ledger.paidTasks).toBe(0);
});

test('a key is answered once, and refused for another message', async () => {
  const emulator = await emulatorFor();
  const first = await chat(emulator, HELLO, 'k');
  expect((await chat(emulator, HELLO, 'k')).text).toBe(first.text);
  const other = await chat(emulator, { ...HELLO, message: 'Another' }, 'k');
  expect(other.body.error.code).toBe('idempotency_conflict');
  expect((await emulator.ledger()).keys['k']).toMatchObject({ tasks: [first.body.id], posts: 3 });
});

test('a fault that stands in a message is not in its answer', async () => {
  const emulator = await emulatorFor();
  const message = 'Hello [[code:rate_limited:1]]';
  expect((await chat(emulator, { ...HELLO, message }, 'k')).status).toBe(429);
  expect((await chat(emulator, { ...HELLO, message }, 'k')).body.message.content).toBe('Simulated answer: Hello');
});

test.each([
  ['validation_failed', { ...HELLO, message: ' ' }],
  ['validation_failed', { ...HELLO, message: 'x'.repeat(20_001) }],
  ['validation_failed', { ...HELLO, messages: [] }],
  ['validation_failed', { ...HELLO, attachments: [{ url: 'https://example.com/a.png' }] }],
  ['validation_failed', { ...HELLO, reasoning_effort: 'extreme' }],
  ['chat_model_not_supported', { ...HELLO, model: 'z-image' }],
  ['chat_attachment_not_supported', { ...HELLO, attachments: [{ file_id: 'https://example.com/a.png' }] }],
  [
    'chat_attachment_not_supported',
    { ...HELLO, model: 'claude-sonnet-4-6-chat', attachments: [{ file_id: 'file_1' }] },
  ],
  ['not_found', { ...HELLO, session_id: 'of nobody' }],
])('%s for %j', async (code, body) => {
  const emulator = await emulatorFor();
  expect((await chat(emulator, body, 'k')).body.error.code).toBe(code);
  expect((await emulator.ledger()).keys['k']).toMatchObject({ tasks: [], charged: 0 });
});

describe('a session', () => {
  test('goes on, with its own model', async () => {
    const emulator = await emulatorFor();
    const { body } = await chat(emulator, HELLO);
    const next = { ...HELLO, session_id: body.session_id };
    expect((await chat(emulator, next)).body.session_id).toBe(body.session_id);
    const other = { ...next, model: 'gemini-2-5-flash-chat' };
    expect((await chat(emulator, other)).body.error.code).toBe('chat_session_conflict');
    emulator.setSwitches({ otherModelInSession: 'allow' });
    expect((await chat(emulator, other)).status).toBe(200);
  });

  test('takes no message while it answers another, unless a switch says so', async () => {
    const slow = { on: 'chat', prompt: 'slow', do: { kind: 'delayBefore', ms: 500 } } as const;
    const emulator = await emulatorFor({ faults: [slow] });
    const { body } = await chat(emulator, HELLO);
    const next = (message: string): Promise<Answer> =>
      chat(emulator, { ...HELLO, message, session_id: body.session_id });
    const posts = (): number => emulator.requests().length;
    const running = next('slow');
    while (posts() < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    expect((await next('meanwhile')).body.error.code).toBe('chat_session_conflict');
    emulator.setSwitches({ busySession: 'allow' });
    expect((await next('meanwhile')).status).toBe(200);
    expect((await running).status).toBe(200);
  });

  test('of nobody is refused as the switch says', async () => {
    const emulator = await emulatorFor({ switches: { unknownSession: 'conflict' } });
    const answer = await chat(emulator, { ...HELLO, session_id: 'of nobody' });
    expect(answer.body.error.code).toBe('chat_session_conflict');
  });
});

test('an attachment must be known where the switch says so', async () => {
  const emulator = await emulatorFor();
  const body = { ...HELLO, attachments: [{ file_id: 'file_unknown' }] };
  expect((await chat(emulator, body)).status).toBe(200);
  emulator.setSwitches({ chatFiles: 'known' });
  expect((await chat(emulator, body)).body.error.code).toBe('chat_attachment_not_supported');
});
