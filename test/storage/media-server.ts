import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { StoreInput } from '../../src/contract/index.js';
import { FileStore, openResults, type Results, type Result, type ResultsOptions } from '../../src/storage/index.js';

export const MB = 1024 * 1024;

const closers: (() => Promise<unknown>)[] = [];

/** Ends every server, connection and store that a test opened. */
export async function closeAll(): Promise<void> {
  await Promise.all(closers.splice(0).map((close) => close()));
}

/** A media host of this machine, over plain HTTP. */
export async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Results in a new directory, which trust the hosts of these links. */
export async function newResults(
  trusted: readonly string[],
  options: Partial<ResultsOptions> = {},
): Promise<{ results: Results; directory: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-store-'));
  const trustedHosts = new Set(trusted.map((url) => new URL(url).host));
  const results = openResults(new FileStore(`file:${directory}`), { trustedHosts, env: {}, ...options });
  closers.push(() => results.close());
  return { results, directory };
}

/** What begins like a film, of so many bytes. */
export function film(bytes: number): Buffer {
  const body = Buffer.alloc(bytes, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
  Buffer.from('\0\0\0\x18ftypisom\0\0\x02\0isomiso2', 'latin1').copy(body);
  return body;
}

/** So many megabytes of a film, one at a time; `stalls`: and then nothing, for ever. */
export function filmStream(megabytes: number, { stalls = false } = {}): Readable {
  const chunk = film(MB);
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let n = 0; n < megabytes; n++) yield chunk;
    if (stalls) await new Promise(() => undefined);
  }
  return Readable.from(chunks(), { highWaterMark: 1 });
}

export function filmDigest(megabytes: number): string {
  const [hash, chunk] = [createHash('sha256'), film(MB)];
  for (let n = 0; n < megabytes; n++) hash.update(chunk);
  return hash.digest('hex');
}

/** A host with a small film at `/small` and a large one at `/large`, in megabytes. */
export function serveTwo({ small = 16, large }: { small?: number; large: number }): Promise<string> {
  return serve((q, r) => {
    const megabytes = q.url === '/small' ? small : large;
    r.setHeader('content-length', megabytes * MB);
    filmStream(megabytes).pipe(r);
  });
}

/** Keeps a result or uploads a file in a process of its own, as `memory.mjs` says; `grown`: bytes. */
export async function memoryOf(
  args: readonly [what: 'keep' | 'upload', place: string, small: string, large: string],
  env: NodeJS.ProcessEnv = {},
): Promise<{ file: { bytes: number; sha256: string }; grown: number }> {
  const script = fileURLToPath(new URL('../support/memory.mjs', import.meta.url));
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], options);
  return JSON.parse(stdout) as { file: { bytes: number; sha256: string }; grown: number };
}

/** The result behind a link. */
export function resultOf(url: string, change: Partial<StoreInput> = {}): Result {
  const about = {
    model: 'z-image',
    body: '{"model":"z-image"}',
    idempotencyKey: 'job-1',
    labels: {},
    createdAt: null,
    reservedCredits: null,
    finalCredits: null,
    simulated: false,
  };
  const input = { taskId: 'task_1', urls: [url], workflowId: 'job', about, ...change };
  return { input, n: 1, namespace: 'default' };
}

/** Every file below a directory but those that only say whose a name is. */
export async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .filter((name) => !name.startsWith('.rivya/names/'))
    .toSorted();
}
