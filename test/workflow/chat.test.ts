/** A chat is paid once under the rules of a generation, and its answer is what was paid for. The ledger is the judge. */
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatRequest, ChatResult, GenerationResult, GenerationState } from '../../src/contract/index.js';
import type { Fault, LedgerKey } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const MODEL = 'gpt-5-2-chat';

let harness: Harness;
const faults: Fault[] = [
  { on: 'chat', prompt: 'fails with chat_model', do: { kind: 'error', code: 'chat_model_not_supported' } },
  { on: 'chat', prompt: 'is lost twice', times: 2, do: { kind: 'dropAfter' } },
  { on: 'chat', prompt: 'is lost, then refused', times: 1, do: { kind: 'dropAfter' } },
  { on: 'chat', prompt: 'is lost, then refused', do: { kind: 'error', code: 'insufficient_credits' } },
  { on: 'chat', prompt: 'is lost, then conflicts', times: 1, do: { kind: 'dropAfter' } },
  {
    on: 'chat',
    prompt: 'is lost, then conflicts',
    times: 1,
    do: { kind: 'error', code: 'chat_session_conflict' },
  },
  { on: 'chat', prompt: 'is lost, and nobody waits', times: 1, do: { kind: 'dropAfter' } },
  { on: 'chat', prompt: 'is lost, and nobody waits', do: { kind: 'error', code: 'insufficient_credits' } },
  { on: 'chat', prompt: 'step that is refused', times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
  { on: 'chat', prompt: 'refused once', times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
  {
    on: 'chat',
    prompt: 'without a text',
    do: { kind: 'replyAfter', status: 200, body: '{"object":"chat.completion"}' },
  },
  {
    on: 'chat',
    prompt: 'a long answer',
    do: {
      kind: 'replyAfter',
      status: 200,
      body: JSON.stringify({ id: 'chatcmpl_long', message: { content: 'é'.repeat(1_500_000) } }),
    },
  },
];
beforeAll(async () => {
  harness = await startHarness({ account: false, emulator: { faults, credits: 100_000 } });
});
afterAll(() => harness[Symbol.asyncDispose]());

let count = 0;
type Started = WorkflowHandle<(request: ChatRequest) => Promise<ChatResult>>;

async function start(message: string, more: Partial<ChatRequest> = {}, on = harness): Promise<Started> {
  count += 1;
  return on.temporal.workflow.start('rivyaChat', {
    workflowId: `chat-${count}`,
    taskQueue: on.taskQueue,
    args: [{ model: MODEL, message, ...more }],
  });
}

const ask = async (message: string, more: Partial<ChatRequest> = {}): Promise<ChatResult> =>
  (await start(message, more)).result();

async function failureOf(result: Promise<unknown>): Promise<{ type: string; message: string; details: unknown[] }> {
  const error = await result.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof WorkflowFailedError)) throw new Error(`It did not fail: ${String(error)}`);
  return error.cause as never;
}

/** What the ledger knows of the keys that came with a message. */
async function keysOf(message: string, on = harness): Promise<LedgerKey[]> {
  const { keys } = await on.emulator.ledger();
  return Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(JSON.stringify(message))));
}

/** Waits until the Workflow holds for this code. */
async function held(started: Pick<WorkflowHandle, 'query'>, code: string): Promise<void> {
  await until(async () => (await started.query<GenerationState>('generation')).hold?.code === code);
}

describe.concurrent('a chat is paid once', () => {
  test('and its answer says what it cost', async () => {
    const result = await ask('Write a prompt for a picture of a fox.');
    expect(result).toEqual({
      content: 'Simulated answer: Write a prompt for a picture of a fox.',
      truncated: false,
      sessionId: expect.stringMatching(/^chatsess_/),
      messageId: expect.stringMatching(/^msg_/),
      model: MODEL,
      usage: { inputTokens: 10, outputTokens: 14, totalTokens: 24 },
      reservedCredits: 3,
      finalCredits: 2,
      idempotencyKey: expect.stringMatching(/^chat-\d+-[0-9a-f]{40}$/),
      reused: false,
      simulated: true,
      createdAt: expect.any(String),
    });
  });

  test('when its answer is lost twice: same key, same bytes', async () => {
    const message = 'The answer is lost twice';
    const result = await ask(message);
    expect(result.content).toContain(message);
    expect(await keysOf(message)).toMatchObject([{ posts: 3, tasks: [expect.any(String)], charged: 3 }]);
  });

  test('when credits are missing: it holds, resume goes on', async () => {
    const message = 'It is refused once';
    const started = await start(message);
    await held(started, 'insufficient_credits');
    expect(await keysOf(message)).toMatchObject([{ posts: 1, tasks: [] }]);
    expect(await started.executeUpdate('resume')).toBe('Resumed.');
    await started.result();
    // An API may have stored the refusal under its key, so the next number follows.
    expect(await keysOf(message)).toMatchObject([
      { posts: 1, tasks: [] },
      { posts: 1, tasks: [expect.any(String)] },
    ]);
  });

  test('as a step of your own Workflow: it is held and resumed as the child that it is', async () => {
    const message = 'A step that is refused';
    const options = { taskQueue: harness.taskQueue };
    const workflowId = 'chat of a parent';
    const args = [{ model: MODEL, message, options }];
    const parent = await harness.temporal.workflow.start('oneChat', { workflowId, taskQueue: harness.taskQueue, args });
    const child = harness.temporal.workflow.getHandle(`${workflowId}/ask`);
    await until(async () => (await keysOf(message)).length === 1);
    await held(child, 'insufficient_credits');
    await child.executeUpdate('resume');
    expect(await parent.result()).toMatchObject({ content: `Simulated answer: ${message}`, reused: false });
    expect((await keysOf(message)).flatMap(({ tasks }) => tasks)).toHaveLength(1);
  });

  test('a refusal after an unanswered POST holds on, and takes no task ID', async () => {
    const message = 'It is lost, then refused';
    const started = await start(message);
    await held(started, 'insufficient_credits');
    expect(await keysOf(message)).toMatchObject([{ posts: 2 }]);
    const named = started.executeUpdate('resume', { args: [{ taskId: 'task_1' }] });
    await expect(named).rejects.toMatchObject({ cause: { message: expect.stringContaining('A chat makes no task') } });
    await started.terminate();
  });

  test('and a caller who wants no hold is told the same', async () => {
    const message = 'It is lost, and nobody waits';
    const started = await start(message, { options: { onActionNeeded: 'fail' } });
    const failure = await failureOf(started.result());
    expect(failure.type).toBe('SubmitUnresolved');
    expect(failure.message).toContain('may have been answered and paid');
    expect(failure.details).toMatchObject([{ unanswered: { firstPostedAt: expect.any(Number) }, taskId: null }]);
  });

  test('a session conflict after an unanswered POST is waited out', async () => {
    const message = 'It is lost, then conflicts';
    const result = await ask(message);
    expect(result.content).toContain(message);
    expect(await keysOf(message)).toMatchObject([{ posts: 3, tasks: [expect.any(String)] }]);
  });

  test('an answer without a text is an answer, and is not paid again', async () => {
    const message = 'An answer without a text';
    expect(await ask(message)).toMatchObject({ content: '', sessionId: null, model: MODEL, reservedCredits: null });
    expect(await keysOf(message)).toMatchObject([{ posts: 1, tasks: [expect.any(String)] }]);
  });

  test('an answer longer than Temporal carries is cut to 1 MB, and says so', async () => {
    const { content, truncated } = await ask('Please give a long answer');
    expect(truncated).toBe(true);
    expect(content).toBe('é'.repeat(499_999));
  });

  test('and is no end for the prompt and the image that follow from it', async () => {
    const options = { taskQueue: harness.taskQueue };
    const result = await harness.temporal.workflow.execute('promptedImage', {
      workflowId: 'prompted-image-test',
      taskQueue: harness.taskQueue,
      args: [
        { model: MODEL, message: 'a heron at dawn', options },
        { model: 'z-image', options },
      ],
    });
    expect(result).toMatchObject({ image: { status: 'succeeded' } });
    const { tasks } = await harness.emulator.ledger();
    const { image } = result as { image: GenerationResult };
    expect(tasks[image.taskId]?.prompt).toBe('Simulated answer: a heron at dawn');
  });
});

describe.concurrent('a session', () => {
  test('is taken up by the next message', async () => {
    const options = { taskQueue: harness.taskQueue };
    const results = (await harness.temporal.workflow.execute('twoChats', {
      workflowId: 'two-chats-test',
      taskQueue: harness.taskQueue,
      args: [
        { model: MODEL, message: 'begin', options },
        { model: MODEL, message: 'go on', options },
      ],
    })) as ChatResult[];
    expect(results[1]?.sessionId).toBe(results[0]?.sessionId);
    expect((await keysOf('go on'))[0]?.bodies[0]).toContain(`"session_id":"${results[0]?.sessionId}"`);
  });

  test('of another model is refused by its code, and says what to do', async () => {
    const { sessionId } = await ask('the first model');
    const request = { sessionId: sessionId ?? '', model: 'gemini-2-5-flash-chat' };
    const failure = await failureOf(ask('another model in its session', request));
    expect(failure.type).toBe('chat_session_conflict');
    expect(failure.message).toContain('for the same model');
    expect(await keysOf('another model in its session')).toMatchObject([{ posts: 1, tasks: [], charged: 0 }]);
  });

  test.each([
    ['chat_model_not_supported', {}],
    ['chat_attachment_not_supported', { model: 'claude-sonnet-4-6-chat', attachments: [{ fileId: 'file_1' }] }],
    ['not_found', { sessionId: 'chatsess_of_nobody' }],
  ])('%s fails', async (code, request) => {
    const failure = await failureOf(ask(`fails with ${code}`, request));
    expect(failure.type).toBe(code);
    expect(await keysOf(`fails with ${code}`)).toMatchObject([{ posts: 1, tasks: [] }]);
  });

  test('with a model that makes media fails by its field, and nothing is posted', async () => {
    const failure = await failureOf(ask('a picture', { model: 'z-image' }));
    expect(failure).toMatchObject({ type: 'InvalidInput', details: [{ field: 'model' }] });
    expect(await keysOf('a picture')).toEqual([]);
  });
});

test.each([
  ['message', { message: '  ' }],
  ['message', { message: 'x'.repeat(20_001) }],
  ['messages', { messages: [] }],
  ['session.sessionId', { session: { sessionId: null } }],
  ['attachments[0].fileId', { attachments: [{ fileId: 'https://example.com/a.png' }] }],
  ['options.deadline', { options: { deadline: '1h' } }],
])('bad input costs nothing: %s', async (field, wrong) => {
  const failure = await failureOf(ask('bad input', wrong as never));
  expect(failure.type).toBe('InvalidInput');
  expect(failure.message).toMatch(new RegExp(`^${field.replaceAll(/[[\].]/g, String.raw`\$&`)}: `));
  expect(await keysOf('bad input')).toEqual([]);
});

describe.concurrent('a chat that was answered is not paid again', () => {
  test.each([
    ['with a store', {}],
    ['without a store', { RIVYA_STORE: '' }],
  ])('for another message under its ID, by an API that has forgotten the key, %s', async (_, env) => {
    await using forgetful = await startHarness({ env, emulator: { switches: { keyLifetimeMs: 1 } } });
    const { taskQueue, temporal } = forgetful;
    for (const type of ['oneChat', 'rivyaChat']) {
      const execute = (message: string): Promise<unknown> =>
        temporal.workflow.execute(type, {
          workflowId: `changed ${type}`,
          taskQueue,
          args: [{ model: MODEL, message, options: { taskQueue } }],
        });
      await execute(`first message of ${type}`);
      expect(await failureOf(execute(`second message of ${type}`))).toMatchObject({ type: 'InputChanged' });
      expect(await keysOf(`second message of ${type}`, forgetful)).toEqual([]);
    }
  });

  test('after a reset, with a store: the receipt has its answer, though the API has forgotten the key', async () => {
    await using forgetful = await startHarness({ emulator: { switches: { keyLifetimeMs: 1 } } });
    const started = await start('reset with a store', {}, forgetful);
    const first = await started.result();
    await resetToStart(forgetful.temporal, started.workflowId);
    const again = forgetful.temporal.workflow.getHandle(started.workflowId);
    expect(await again.result()).toEqual({ ...first, reused: true });
    expect(await keysOf('reset with a store', forgetful)).toMatchObject([{ posts: 1, tasks: [expect.any(String)] }]);
  });

  test('after a reset, without a store: the API repeats its answer within the window; after it a person decides', async () => {
    // Within it a slow machine runs a chat, a reset and the chat again.
    const windowMs = 20_000;
    await using forgetful = await startHarness({
      env: { RIVYA_STORE: '' },
      emulator: { switches: { keyLifetimeMs: windowMs + 1_000 } },
    });
    const message = 'reset without a store';
    const started = await start(message, { options: { idempotencyWindow: windowMs } }, forgetful);
    const { content, messageId } = await started.result();
    await resetToStart(forgetful.temporal, started.workflowId);
    const again = forgetful.temporal.workflow.getHandle(started.workflowId);
    expect(await again.result()).toMatchObject({ content, messageId });
    // The list of models is asked for long before it on a busy machine.
    const first = forgetful.emulator.requests().find(({ method }) => method === 'POST');
    await until(() => Date.now() > first!.at + windowMs + 1_000);
    await resetToStart(forgetful.temporal, started.workflowId);
    await held(again, 'SubmitUnresolved');
    expect(await keysOf(message, forgetful)).toMatchObject([{ posts: 2, tasks: [expect.any(String)] }]);
    await again.terminate();
  });
});

test('a key of another account after an unanswered POST: it holds, and a reason posts again', async () => {
  await using other = await startHarness({
    workers: false,
    emulator: { faults: [{ on: 'chat', times: 1, do: { kind: 'dropAfter' } }], keys: KEYS },
  });
  const first = await other.startWorkers();
  const started = await start('rotated', {}, other);
  await until(async () => (await keysOf('rotated', other))[0]?.posts === 1);
  await first.stop();
  await other.startWorkers({ apiKey: KEYS[1]!.key });
  await held(started, 'SubmitUnresolved');
  await expect(started.executeUpdate('resume', { args: [{}] })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('{ "reason"') },
  });
  await started.executeUpdate('resume', { args: [{ reason: 'the old account is gone' }] });
  expect(await started.result()).toMatchObject({ reused: false });
  expect(await keysOf('rotated', other)).toMatchObject([{ posts: 2, tasks: [expect.any(String), expect.any(String)] }]);
});

const KEYS = [
  { key: 'rvya_sk_first_account', account: 'first' },
  { key: 'rvya_sk_second_account', account: 'second' },
];

test('the API key is in no history, also where the API says it', async () => {
  const started = await start(`Say ${harness.emulator.apiKey}`);
  const { content } = await started.result();
  expect(content).toContain('[redacted]');
  const history = await harness.temporal.workflow.getHandle(started.workflowId).fetchHistory();
  const results = (history.events ?? []).flatMap(
    ({ activityTaskCompletedEventAttributes: completed }) => completed?.result?.payloads ?? [],
  );
  expect(results.map(({ data }) => Buffer.from(data ?? []).toString())).toEqual([
    expect.not.stringContaining(harness.emulator.apiKey),
  ]);
});
