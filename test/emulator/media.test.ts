import { crc32, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { pictureSize, wrap } from '../../src/emulator/picture.js';
import { check, create, emulatorFor, TestClock } from './helpers.js';

async function fetchMedia(body: object): Promise<{ bytes: Buffer; response: Response; url: string }> {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read });
  const { id } = (await create(emulator, undefined, body)).body;
  clock.pass(60_000);
  const url = (await check(emulator, id)).body.result.primary_url;
  const response = await fetch(url);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(Number(response.headers.get('content-length'))).toBe(bytes.length);
  return { bytes, response, url };
}

interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly rows: Buffer;
}

/** Reads a PNG as a viewer would: signature, lengths and checksums of chunks, compressed rows. */
function decodePng(png: Buffer): Decoded {
  expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const body = png.subarray(at + 4, at + 8 + length);
    expect(png.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    chunks.set(body.subarray(0, 4).toString(), body.subarray(4));
    at += 12 + length;
  }
  expect([...chunks.keys()]).toStrictEqual(['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR') ?? Buffer.alloc(0);
  expect([...header.subarray(8)]).toStrictEqual([8, 2, 0, 0, 0]);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = inflateSync(chunks.get('IDAT') ?? Buffer.alloc(0));
  expect(rows.length).toBe(height * (1 + width * 3));
  return { width, height, rows };
}

test('an image is a whole PNG in the format that was asked for', async () => {
  const { bytes, response } = await fetchMedia({
    model: 'z-image',
    prompt: 'a lighthouse',
    params: { aspect_ratio: '16:9' },
  });
  expect(response.headers.get('content-type')).toBe('image/png');
  expect(response.headers.get('x-rivya-simulated')).toBe('1');
  const { width, height } = decodePng(bytes);
  expect([width, height]).toStrictEqual([640, 360]);
});

/** Middle part of the rows, where the prompt is; undoing the filter is not needed to compare. */
async function middle(prompt: string): Promise<number> {
  const { rows, width } = decodePng((await fetchMedia({ model: 'z-image', prompt })).bytes);
  const part = rows.subarray(200 * (1 + width * 3), 440 * (1 + width * 3));
  // A step of colour between neighbours that only the edges of letters make.
  return part.filter((step, i) => i % (1 + width * 3) > 3 && step > 60 && step < 196).length;
}

test('the picture shows its prompt: more words, more ink', async () => {
  const [little, more] = [await middle('i'), await middle('MMMM WWWW MMMM WWWW')];
  expect(little).toBeGreaterThan(0);
  expect(more).toBeGreaterThan(10 * little);
});

test.each([
  ['the longest prompt', 'word '.repeat(199)],
  ['letters beyond ASCII', 'caf\u00e9 \u732b \u{1f431} \u0645'],
  ['one long word', 'x'.repeat(900)],
])('%s can be drawn', async (_, prompt) => {
  const { width, height } = decodePng((await fetchMedia({ model: 'z-image', prompt })).bytes);
  expect([width, height]).toStrictEqual([640, 640]);
});

test('a video is an MP4 that can be played while it loads', async () => {
  const { bytes, response } = await fetchMedia({ model: 'sora-2', prompt: 'waves' });
  expect(response.headers.get('content-type')).toBe('video/mp4');
  expect(bytes.subarray(4, 8).toString()).toBe('ftyp');
  expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
  expect(bytes.includes('avc1')).toBe(true);
  expect(bytes.length).toBeLessThan(100_000);
});

test('audio is an MP3', async () => {
  const { bytes, response, url } = await fetchMedia({ model: 'suno-music', prompt: 'soft' });
  expect(url).toMatch(/\.mp3$/);
  expect(response.headers.get('content-type')).toBe('audio/mpeg');
  expect(bytes.readUInt16BE(0) & 0xffe6).toBe(0xffe2); // Frame sync, layer III.
  expect(bytes.length).toBeLessThan(100_000);
});

test('media exist only once their task has succeeded', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({
    clock: clock.read,
    faults: [{ on: 'media', skip: 1, do: { kind: 'dropBefore' } }],
  });
  const { id } = (await create(emulator)).body;
  expect((await fetch(`${emulator.url}/media/${id}/1.png`)).status).toBe(404);
  clock.pass(60_000);
  await expect(fetch(`${emulator.url}/media/${id}/1.png`)).rejects.toThrow('fetch failed');
});

test('lines break at spaces, and inside words that are too long', () => {
  expect(wrap('the quick brown fox', 9)).toStrictEqual(['the quick', 'brown fox']);
  expect(wrap('abcdefgh ij', 3)).toStrictEqual(['abc', 'def', 'gh', 'ij']);
  expect(wrap('a\n\nb', 5)).toStrictEqual(['a', '', 'b']);
});

test.each([
  [{}, [640, 640]],
  [{ aspect_ratio: '9:16' }, [360, 640]],
  [{ size: '3:2' }, [640, 427]],
  [{ imageSize: 'auto' }, [640, 640]],
  [{ aspect_ratio: '0:1' }, [640, 640]],
  [{ aspect_ratio: '99:1' }, [640, 160]],
])('the format %j makes a picture of %j', (params, size) => {
  expect(pictureSize(params)).toStrictEqual(size);
});

test('links expire where the switch says so, until the status is asked for again', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, switches: { linkLifetimeMs: 60_000 } });
  const { id } = (await create(emulator)).body;
  clock.pass(60_000);
  const linkOf = async (): Promise<string> => (await check(emulator, id)).body.result.primary_url;
  const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;
  const url = await linkOf();
  clock.pass(60_000);
  expect(await statusOf(url)).toBe(200);
  clock.pass(1);
  expect(await statusOf(url)).toBe(403);
  expect(await statusOf(await linkOf())).toBe(200);
});
