import { expect, test } from 'vitest';
import { ask, check, create, emulatorFor, TestClock } from './helpers.js';

// The texts of the two documents, as they print them.
const SUCCEEDED = `{
  "id": "task_public_id",
  "status": "succeeded",
  "model": "z-image",
  "reserved_credits": 1,
  "final_credits": 1,
  "created_at": "2026-05-10T00:00:00.000Z",
  "updated_at": "2026-05-10T00:01:00.000Z",
  "result": {
    "primary_url": "https://media.example/result.png",
    "urls": ["https://media.example/result.png"]
  },
  "error": null
}`;
const FAILED = `{
  "id": "task_public_id",
  "status": "failed",
  "model": "z-image",
  "reserved_credits": 1,
  "final_credits": 0,
  "created_at": "2026-05-10T00:00:00.000Z",
  "updated_at": "2026-05-10T00:01:00.000Z",
  "result": null,
  "error": {
    "code": "generation_failed",
    "message": "The generation failed."
  }
}`;
const ENVELOPE = `{
"error": {
"code": "api_key_missing",
"message": "A valid Bearer API key is required.",
"requestId": "req_..."
}
}`;

/** The same document without the spaces between its parts; the order of fields stays. */
const compact = (document: string): string => JSON.stringify(JSON.parse(document));

test.each([
  ['succeeded', SUCCEEDED],
  ['failed', FAILED],
] as const)('the %s body of the page "Generation Status" is served byte for byte', async (status, document) => {
  const emulator = await emulatorFor({
    seedTasks: [
      {
        id: 'task_public_id',
        model: 'z-image',
        status,
        createdAt: '2026-05-10T00:00:00.000Z',
        updatedAt: '2026-05-10T00:01:00.000Z',
        urls: ['https://media.example/result.png'],
      },
    ],
  });
  const answer = await check(emulator, 'task_public_id');
  expect(answer.text).toBe(compact(document));
  expect(answer.headers.get('content-type')).toContain('application/json');
  expect((await emulator.ledger()).paidTasks).toBe(0);
});

test('the error envelope is the one of the page "API Errors and Limits"', async () => {
  const emulator = await emulatorFor();
  const answer = await ask(emulator, '/api/v1/credits', { apiKey: null });
  expect(answer.status).toBe(401);
  expect(answer.body.error.requestId).toMatch(/^req_[0-9a-f]+$/);
  expect(answer.text.replace(/req_[0-9a-f]+/, 'req_...')).toBe(compact(ENVELOPE));
});

test('a task goes through queued and processing to succeeded, with credits and times to match', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, durations: { image: 4000 } });
  const created = await create(emulator, 'one');
  expect(created.status).toBe(201);
  expect(created.body).toStrictEqual({
    id: expect.stringMatching(/^task_/),
    status: 'queued',
    model: 'z-image',
    reserved_credits: 1,
    final_credits: 0,
    created_at: '2026-05-10T00:00:00.000Z',
    updated_at: '2026-05-10T00:00:00.000Z',
    result: null,
    error: null,
  });
  const { id } = created.body;
  clock.pass(999);
  expect((await check(emulator, id)).body.status).toBe('queued');
  clock.pass(1);
  const processing = (await check(emulator, id)).body;
  expect([processing.status, processing.updated_at]).toStrictEqual(['processing', '2026-05-10T00:00:01.000Z']);
  clock.pass(3000);
  const done = (await check(emulator, id)).body;
  const url = `${emulator.url}/media/${id}/1.png`;
  expect(done).toStrictEqual({
    ...created.body,
    status: 'succeeded',
    final_credits: 1,
    updated_at: '2026-05-10T00:00:04.000Z',
    result: { primary_url: url, urls: [url] },
  });
});

test('tasks age faster at a higher speed, by kind of medium', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, speed: 10, durations: { image: 4000, video: 9000 } });
  const image = (await create(emulator)).body.id;
  const video = (await create(emulator, undefined, { model: 'sora-2', prompt: 'a cat walks' })).body.id;
  clock.pass(400);
  expect((await check(emulator, image)).body.status).toBe('succeeded');
  expect((await check(emulator, video)).body.status).toBe('processing');
  clock.pass(500);
  expect((await check(emulator, video)).body.status).toBe('succeeded');
});

test('every reply says that it is simulated and carries the date of the emulated clock', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: async () => clock.now, switches: { clockOffsetMs: 90_000 } });
  for (const path of ['/api/v1/models', '/api/v1/credits', '/nowhere', '/__admin/ledger']) {
    const { headers } = await ask(emulator, path);
    expect(headers.get('x-rivya-simulated')).toBe('1');
    expect(headers.get('date')).toBe('Sun, 10 May 2026 00:01:30 GMT');
  }
  expect((await create(emulator)).body.created_at).toBe('2026-05-10T00:01:30.000Z');
});

test('the model list needs no key and has the documented shape', async () => {
  const emulator = await emulatorFor();
  const answer = await ask(emulator, '/api/v1/models', { apiKey: null });
  expect(answer.status).toBe(200);
  expect(answer.body.object).toBe('list');
  expect(answer.body.data[0]).toStrictEqual({
    id: 'z-image',
    display_name: 'Z-Image',
    category: 'image',
    runtime: 'async_task',
    base_credits: 1,
    billing_type: 'FIXED',
    supported_modes: ['text-to-image'],
    max_prompt_length: 1000,
    reference_media: null,
    params: [],
    api_status: 'available',
    api_input_status: 'available_text',
    supported_api_inputs: ['text'],
    requires_files_api: false,
    requires_upload_for_modes: [],
    url_input_supported: false,
    file_kinds: [],
    chat_capabilities: null,
    notices: [],
  });
  const categories = new Set(answer.body.data.map((model: { category: string }) => model.category));
  expect(categories).toStrictEqual(new Set(['image', 'video', 'audio', 'chat']));
});
