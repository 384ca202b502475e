/** A reference is copied whole and unchanging before it is sent, or refused with what is wrong with it. */
import { appendFile, mkdir, mkdtemp, readdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import type { ReferenceSource } from '../../src/contract/index.js';
import { drawPicture } from '../../src/emulator/picture.js';
import { FileStore, openReferenceSources, type SourceFile } from '../../src/storage/index.js';

const PNG = drawPicture('a fox', 'z-image', {});
const SHA = createHash('sha256').update(PNG).digest('hex');

let root: string;
let file: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'rivya-sources-'));
  file = path.join(root, 'fox.png');
  await writeFile(file, PNG);
  await mkdir(path.join(root, 'store/folder'), { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

function read(
  source: ReferenceSource,
  {
    roots = [root],
    store = true,
    refuse = (_seen: string | null): string | null => null,
    trusted = '',
    maxBytes = 1_000_000,
    judge = async (_address: string): Promise<void> => undefined,
  } = {},
): Promise<SourceFile> {
  const kept = store ? new FileStore(`file:${root}/store`) : null;
  const sources = openReferenceSources({ roots, store: kept, trustedHosts: new Set([trusted]) });
  return sources.read(source, { maxBytes, refuse, judge, signal: new AbortController().signal });
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

test('the copy is the file, and no name of it is left', async () => {
  const names = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith('rivya-reference-'));
  const before = await names();
  let seen: unknown = null;
  const refuse = (type: unknown): null => ((seen = type), null);
  const copy = await read({ path: file }, { refuse });
  expect(await names()).toEqual(before);
  expect({ ...copy, seen }).toMatchObject({ sha256: SHA, bytes: PNG.length, fileName: 'fox.png', seen: 'image/png' });
  await rm(file);
  expect(await buffer(copy.stream())).toEqual(PNG);
  expect(await buffer(copy.stream())).toEqual(PNG);
  await copy.close();
});

test('a stored file and a link are read like a file', async () => {
  const { uri } = await new FileStore(`file:${root}/store`).put('w/1.png', once(PNG));
  const server = createServer((_, response) => response.end(PNG));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const trusted = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = { taskId: 't', file: 0, link: `http://${trusted}/media/2.png?sig=x` };
  for (const [source, fileName] of [
    [{ uri }, '1.png'],
    [link, '2.png'],
  ] as const) {
    const copy = await read(source, { trusted });
    expect(copy).toMatchObject({ sha256: SHA, fileName });
    await copy.close();
  }
  await expect(read(link)).rejects.toMatchObject({ because: 'now', message: expect.stringContaining('not HTTPS') });
});

test('a link whose host sends a Content-Encoding gives the file itself, and its limit is that of the file', async () => {
  const packed = gzipSync(PNG);
  const server = createServer((_, r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end(packed));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const trusted = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = { taskId: 't', file: 0, link: `http://${trusted}/1.png` };
  const copy = await read(link, { trusted, maxBytes: PNG.length });
  expect(copy).toMatchObject({ sha256: SHA, bytes: PNG.length });
  await copy.close();
  const tooLarge = read(link, { trusted, maxBytes: PNG.length - 1 });
  await expect(tooLarge).rejects.toMatchObject({ because: 'input', message: expect.stringContaining('is larger') });
});

test.each<[string, (at: string) => Promise<void>]>([
  ['grows', (at) => appendFile(at, 'more')],
  ['is written again', (at) => writeFile(at, PNG)],
])('a file that %s while it is read is refused', async (_, change) => {
  // Asked when the first bytes are read, long before the end.
  await writeFile(file, Buffer.concat([PNG, Buffer.alloc(500_000)]));
  const sources = openReferenceSources({ roots: [root], store: null, trustedHosts: new Set() });
  let changed: Promise<void> | null = null;
  const refuse = (): null => {
    changed ??= change(file);
    return null;
  };
  const reading = sources.read({ path: file }, { maxBytes: 1e7, refuse, signal: new AbortController().signal });
  await expect(reading).rejects.toMatchObject({ message: expect.stringContaining('changed while it was read') });
  expect(changed).not.toBeNull();
});

test('a file that is replaced by another while it is read is the first one, whole', async () => {
  const refuse = (): null => {
    void rename(file, `${file}.old`).then(() => writeFile(file, 'another'));
    return null;
  };
  const copy = await read({ path: file }, { refuse });
  expect(copy.sha256).toBe(SHA);
  await copy.close();
});

test('more bytes than the limit are refused before they are read', async () => {
  let asked = false;
  const refuse = (): null => ((asked = true), null);
  const wanted = { because: 'input', message: expect.stringContaining('larger than the 10 bytes') };
  await expect(read({ path: file }, { maxBytes: 10, refuse })).rejects.toMatchObject(wanted);
  expect(asked).toBe(false);
});

test('a root that is a link itself is a root, and a way out of it none', async () => {
  const alias = `${root}-alias`;
  await symlink(root, alias);
  onTestFinished(() => rm(alias));
  const copy = await read({ path: path.join(alias, 'fox.png') }, { roots: [alias] });
  await copy.close();
  const beside = `${root}-beside`;
  await writeFile(beside, PNG);
  onTestFinished(() => rm(beside));
  for (const away of [beside, `${root}/../${path.basename(beside)}`, root, '/proc/self/environ']) {
    await expect(read({ path: away })).rejects.toMatchObject({ because: 'input' });
  }
});

test('what is judged is the file that was opened, and not what a link led to before', async () => {
  const link = path.join(root, 'link.png');
  await symlink(file, link);
  const judged: string[] = [];
  const judge = async (address: string): Promise<void> => {
    judged.push(address);
    throw new Error('denied');
  };
  let seen = false;
  const refuse = (): null => ((seen = true), null);
  await expect(read({ path: link }, { judge, refuse })).rejects.toThrow('denied');
  expect({ judged, seen }).toEqual({ judged: [await realpath(file)], seen: false });
});

test('a way out says the same whether there is a file or not', async () => {
  const problem = (at: string): Promise<string> =>
    read({ path: at }).then(
      () => '',
      (error: Error) => error.message,
    );
  expect(await problem('/etc/passwd')).toBe(await problem('/etc/passwd-none'));
});

test('a temporary directory without room is told as such, and not as the fault of the file', async () => {
  vi.stubEnv('TMPDIR', path.join(root, 'none'));
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(read({ path: file })).rejects.toMatchObject({
    because: 'now',
    message: expect.stringMatching(/cannot be copied to .*none, the temporary directory \(ENOENT\)/),
  });
});

test.each<[string, () => ReferenceSource, object, string]>([
  ['no roots', () => ({ path: file }), { roots: [] }, 'RIVYA_REFERENCE_ROOTS'],
  ['no store', () => ({ uri: 'file:///x/1.png' }), { store: false }, 'RIVYA_STORE'],
  [
    'nothing of this name in the store',
    () => ({ uri: `file://${root}/store/1.png` }),
    {},
    'names no file in the store',
  ],
  ['a folder in the store', () => ({ uri: `file://${root}/store/folder` }), {}, 'names no file in the store'],
  ['a file outside of the store', () => ({ uri: `file://${file}` }), {}, 'is not in the store'],
])('%s is told by the name of the setting or the store', async (_, source, options, why) => {
  await expect(read(source(), options)).rejects.toMatchObject({ message: expect.stringContaining(why) });
});
