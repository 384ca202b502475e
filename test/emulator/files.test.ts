/** The Files API of the emulator: what the page "Files" says, and a switch for what it leaves open. */
import { expect, test } from 'vitest';
import { drawPicture } from '../../src/emulator/picture.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { ask, create, emulatorFor, TestClock, type Answer } from './helpers.js';

const PNG = drawPicture('a fox', 'z-image', {});
const MP3 = Buffer.from('ID3 a tune');

interface Upload {
  readonly body?: Buffer;
  readonly kind?: string;
  readonly model?: string;
  readonly apiKey?: string;
}

async function upload(emulator: Emulator, { body = PNG, kind = 'image', model, apiKey }: Upload = {}): Promise<Answer> {
  const form = new FormData();
  form.set('kind', kind);
  if (model !== undefined) form.set('model', model);
  form.set('file', new Blob([new Uint8Array(body)]), 'fox.png');
  const headers = { authorization: `Bearer ${apiKey ?? emulator.apiKey}` };
  const response = await fetch(`${emulator.url}/api/v1/files`, { method: 'POST', headers, body: form });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
}

function referring(url: string, kind = 'image', durationToken?: string): object {
  const item = { url, kind, ...(durationToken !== undefined && { durationToken }) };
  return { model: 'sora-2', prompt: 'it runs', params: { referenceMediaItems: [item] } };
}

test('an upload can be looked up, fetched and referred to', async () => {
  const emulator = await emulatorFor();
  const { status, body } = await upload(emulator, { model: 'sora-2' });
  expect(status).toBe(201);
  expect(body).toMatchObject({ kind: 'image', mime_type: 'image/png', size: PNG.length, name: 'fox.png' });
  expect((await ask(emulator, `/api/v1/files/${body.id}`)).body).toEqual(body);
  expect(Buffer.from(await (await fetch(body.url)).arrayBuffer())).toEqual(PNG);
  expect((await create(emulator, 'k', referring(body.url))).status).toBe(201);
  const { files, paidTasks } = await emulator.ledger();
  expect(files[body.id]).toMatchObject({ account: 'acct_emulator', bytes: PNG.length });
  expect(paidTasks).toBe(1);
});

test.each<[string, Upload, RegExp]>([
  ['a kind that the file is not of', { kind: 'video' }, /not of a type/],
  ['a kind that does not exist', { kind: 'text' }, /"kind"/],
  ['a file whose start says nothing', { body: Buffer.from('hello') }, /not of a type/],
  ['a model that takes no references', { model: 'z-image' }, /takes no references/],
  ['a model that does not exist', { model: 'none' }, /"model"/],
  ['more bytes than allowed', { body: Buffer.concat([PNG, Buffer.alloc(10 * 1024 * 1024)]) }, /larger/],
])('an upload is refused for %s', async (_, given, why) => {
  const emulator = await emulatorFor();
  const { status, body } = await upload(emulator, given);
  expect(status).toBe(400);
  expect(body.error).toMatchObject({ code: 'validation_failed', message: expect.stringMatching(why) });
  expect((await emulator.ledger()).files).toEqual({});
});

test('a model with another limit takes more', async () => {
  const body = Buffer.concat([PNG, Buffer.alloc(10 * 1024 * 1024)]);
  expect((await upload(await emulatorFor(), { body, model: 'nano-banana-2' })).status).toBe(201);
});

test('a file of another account is none, and a key needs the scopes', async () => {
  const keys = [
    { key: 'a', account: 'A' },
    { key: 'b', account: 'B' },
    { key: 'c', account: 'A', scopes: ['generations:create' as const] },
  ];
  const emulator = await emulatorFor({ keys });
  const { body } = await upload(emulator);
  expect((await ask(emulator, `/api/v1/files/${body.id}`, { apiKey: 'b' })).status).toBe(404);
  const stolen = { method: 'POST', body: referring(body.url), apiKey: 'b' };
  expect((await ask(emulator, '/api/v1/generations', stolen)).status).toBe(400);
  expect((await upload(emulator, { apiKey: 'c' })).status).toBe(403);
  expect((await ask(emulator, `/api/v1/files/${body.id}`, { apiKey: 'c' })).status).toBe(403);
});

test('the same bytes get another address, or the first one where the switch says so', async () => {
  const emulator = await emulatorFor();
  const first = await upload(emulator);
  const second = await upload(emulator);
  expect(second.body.url).not.toBe(first.body.url);
  emulator.setSwitches({ fileAgain: 'same', fileStatus: 200 });
  const third = await upload(emulator);
  expect([third.status, third.body.url]).toEqual([200, first.body.url]);
});

test('a reference to audio may have to carry the token of its upload', async () => {
  const emulator = await emulatorFor({ switches: { durationToken: 'required', fileBody: 'short' } });
  const { body } = await upload(emulator, { body: MP3, kind: 'audio' });
  expect(Object.keys(body)).toEqual(['url', 'duration_token']);
  for (const [token, status] of [
    [undefined, 400],
    ['dur_other', 400],
    [body.duration_token, 201],
  ] as const) {
    expect((await create(emulator, `token ${token}`, referring(body.url, 'audio', token))).status).toBe(status);
  }
});

test('a file that has expired is gone', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, switches: { fileLifetimeMs: 60_000 } });
  const { body } = await upload(emulator);
  clock.pass(60_000);
  expect((await ask(emulator, `/api/v1/files/${body.id}`)).status).toBe(404);
  expect((await fetch(body.url)).status).toBe(404);
  expect((await create(emulator, 'k', referring(body.url))).body.error.message).toMatch(/no image of this account/);
});

test('an upload meets faults by the name of its file, and the file is there when only the reply is lost', async () => {
  const emulator = await emulatorFor({
    faults: [{ on: 'upload', prompt: 'fox', times: 1, do: { kind: 'dropAfter' } }],
  });
  await expect(upload(emulator)).rejects.toThrow('fetch failed');
  expect(Object.keys((await emulator.ledger()).files)).toHaveLength(1);
  expect((await upload(emulator)).status).toBe(201);
});

test('a body that is no whole multipart/form-data is refused', async () => {
  const emulator = await startEmulator();
  const send = (type: string, body: string): Promise<Response> =>
    fetch(`${emulator.url}/api/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${emulator.apiKey}`, 'content-type': type },
      body,
    });
  for (const [type, body] of [
    ['application/json', '{}'],
    ['multipart/form-data', '--x--'],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="kind"\r\n\r\nimage'],
    ['multipart/form-data; boundary=x', 'x'],
  ] as const) {
    expect((await send(type, body)).status).toBe(400);
  }
  await emulator.close();
});
