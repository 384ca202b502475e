/** An upload streams: memory holds no whole file, and its time limit is silence, not the time that a slow line takes. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createRivyaClient, staticKey, type HttpTimeouts, type RivyaClient } from '../../src/api/index.js';
import { startEmulator } from '../../src/emulator/index.js';
import { drawPicture } from '../../src/emulator/picture.js';

const PNG = drawPicture('a fox', 'z-image', {});

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

function clientFor(baseUrl: string, apiKey = 'rvya_sk_x', timeouts: Partial<HttpTimeouts> = {}): RivyaClient {
  const client = createRivyaClient({ baseUrl, keys: staticKey(apiKey), timeouts });
  onTestFinished(() => client.close());
  return client;
}

async function serve(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  onTestFinished(() => server.closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an upload arrives as it was, whatever its file is called, and can be looked up', async () => {
  const emulator = await startEmulator();
  onTestFinished(() => emulator.close());
  const client = clientFor(emulator.url, emulator.apiKey);
  const file = { fileName: 'ein "Fuchs"\r\n夕.png', mimeType: 'image/png', bytes: PNG.length };
  const answer = await client.uploadFile({
    ...file,
    body: once(PNG),
    kind: 'image',
    model: 'sora-2',
    clientRequestId: 'me',
  });
  expect(answer).toMatchObject({ mimeType: 'image/png', durationToken: null, simulated: true });
  expect(await client.retrieveFile(answer.fileId!)).toEqual(answer);
  expect(Buffer.from(await (await fetch(answer.url!)).arrayBuffer())).toEqual(PNG);
  expect((await emulator.ledger()).files[answer.fileId!]).toMatchObject({ bytes: PNG.length, name: 'ein-Fuchs-.png' });
});

test('a refused and a lost upload say that nothing was paid', async () => {
  const faults = [{ on: 'upload' as const, skip: 1, do: { kind: 'dropAfter' as const } }];
  const emulator = await startEmulator({ faults });
  onTestFinished(() => emulator.close());
  const client = clientFor(emulator.url, emulator.apiKey);
  const file = { fileName: 'a.png', mimeType: 'image/png', bytes: PNG.length, model: 'z-image' };
  const refused = { outcome: 'refused', code: 'validation_failed', message: expect.stringContaining('costs nothing') };
  await expect(client.uploadFile({ ...file, body: once(PNG), kind: 'image' })).rejects.toMatchObject(refused);
  const lost = { outcome: 'unknown', message: expect.stringContaining('costs nothing; it may be repeated') };
  await expect(client.uploadFile({ ...file, body: once(PNG), kind: 'image' })).rejects.toMatchObject(lost);
});

test('an upload that moves is not given up, one that stands still is', async () => {
  const limit = 1_500;
  const received: number[] = [];
  const url = await serve((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.on('end', () => {
      received.push(bytes);
      // The second one gets no answer.
      if (received.length === 1) response.end(JSON.stringify({ url: 'https://files.example/1' }));
    });
  });
  const client = clientFor(url, undefined, { upload: limit });
  const chunk = Buffer.alloc(1_000);
  const steps = 8;
  async function* slow(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < steps; n++) {
      // Longer than the limit in all, and far below it each.
      await new Promise((resolve) => setTimeout(resolve, limit / 6));
      yield chunk;
    }
  }
  const file = { fileName: 'a.png', mimeType: 'image/png', bytes: steps * chunk.length, kind: 'image' as const };
  expect(await client.uploadFile({ ...file, body: slow() })).toMatchObject({ url: 'https://files.example/1' });
  expect(received[0]).toBeGreaterThan(steps * chunk.length);
  const silent = client.uploadFile({ ...file, bytes: PNG.length, body: once(PNG) });
  await expect(silent).rejects.toMatchObject({
    outcome: 'unknown',
    message: expect.stringContaining('within 1500 ms'),
  });
});

test.each([
  ['nothing but an address', '{"url":"https://f.example/1?sig=x"}', { url: 'https://f.example/1?sig=x', fileId: null }],
  ['fields of other types', '{"id":7,"url":9,"duration_token":{}}', { fileId: null, url: null, durationToken: null }],
])('an answer with %s is read as far as it goes', async (_, reply, wanted) => {
  const url = await serve((request, response) => void request.resume().on('end', () => response.end(reply)));
  const body = once(PNG);
  const file = { fileName: 'a', mimeType: 'image/png', bytes: PNG.length, body, kind: 'image' as const };
  expect(await clientFor(url).uploadFile(file)).toMatchObject(wanted);
});
