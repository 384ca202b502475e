import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { startDevServer, type EmbeddedServer } from '../../src/temporal/embedded/server.js';
import { run } from '../../src/temporal/embedded/run.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lines: string[] = [];
const log = (line: string): void => void lines.push(line);
let directory: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rivya-server-'));
  env = { ...process.env, TEMPORAL_CLI_PATH: await findServerBinary({ log: console.error }) };
}, 300_000); // it may have to be fetched first
afterAll(() => rm(directory, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function withServer<T>(server: EmbeddedServer, use: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: server.address });
  try {
    return await use(connection);
  } finally {
    await connection.close();
    await server.stop();
  }
}

async function occupy(): Promise<Server & { port: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

test('a started server is healthy, serves its UI, keeps closed Workflows as long as asked, and stops without a trace', async () => {
  const server = await startDevServer({ log, env, port: 0, uiPort: 0, retentionDays: 30 });
  await withServer(server, async (connection) => {
    const page = await fetch(String(server.uiUrl));
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<html');
    const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(config?.workflowExecutionRetentionTtl?.seconds?.toNumber()).toBe(30 * 24 * 3600);
    // A start goes through at once: nothing of the server still warms up.
    await new Client({ connection }).workflow.start('anything', { taskQueue: 'none', workflowId: 'first', args: [] });
    expect(isAlive(server.pid)).toBe(true);
  });
  expect(isAlive(server.pid)).toBe(false);
  await server.stop(); // a second stop is no error
  await expect(fetch(String(server.uiUrl))).rejects.toThrow('fetch failed');
});

test('the usual ports are used when free, others when taken, and the log says so', async () => {
  const [one, other] = [await occupy(), await occupy()];
  try {
    const server = await startDevServer({ log, env, port: one.port, uiPort: other.port });
    await withServer(server, async (connection) => {
      expect(server.address).not.toContain(`:${one.port}`);
      expect(server.uiUrl).not.toContain(`:${other.port}`);
      expect(lines.join('\n')).toContain(`Port ${one.port} is taken; Temporal uses ${server.address.split(':')[1]}.`);
      await connection.workflowService.getSystemInfo({});
    });
  } finally {
    one.close();
    other.close();
  }
  // Another process may take the port in between; hardly three times.
  const addresses: [string, string | null][] = [];
  for (let attempt = 0; attempt < 3 && addresses.at(-1)?.[0] !== `127.0.0.1:${one.port}`; attempt++) {
    const free = await startDevServer({ log, env, port: one.port, ui: false });
    await withServer(free, async () => void addresses.push([free.address, free.uiUrl]));
  }
  expect(addresses.at(-1)).toEqual([`127.0.0.1:${one.port}`, null]);
});

test('two servers that are started for the same port at the same time both come up, on different ports', async () => {
  const taken = await occupy();
  taken.close();
  const options = { log, env, port: taken.port, ui: false };
  const [one, other] = await Promise.all([startDevServer(options), startDevServer(options)]);
  try {
    expect(one.address).not.toBe(other.address);
    expect([isAlive(one.pid), isAlive(other.pid)]).toEqual([true, true]);
  } finally {
    await Promise.all([one.stop(), other.stop()]);
  }
});

describe('a database file', () => {
  test('keeps the Workflows over a restart, and is refused to a second server while in use', async () => {
    const options = { log, env, ui: false, port: 0, dbFilename: join(directory, 'state.db') };
    const first = await startDevServer(options);
    await withServer(first, async (connection) => {
      // Its log is what makes a file nearly as fast as memory.
      expect(await readdir(directory)).toContain('state.db-wal');
      await new Client({ connection }).workflow.start('anything', { taskQueue: 'none', workflowId: 'kept', args: [] });
      await expect(startDevServer(options)).rejects.toThrow(`Set TEMPORAL_ADDRESS=${first.address} to use that one`);
    });
    const second = await startDevServer(options);
    await withServer(second, async (connection) => {
      const { status } = await new Client({ connection }).workflow.getHandle('kept').describe();
      expect(status.name).toBe('RUNNING');
    });
  });

  test('that cannot be written is an error with the words of the server', async () => {
    const dbFilename = join(directory, 'no', 'such', 'state.db');
    const error = await startDevServer({ log, env, ui: false, port: 0, dbFilename }).catch(String);
    expect(error).toMatch(
      /ServerStartFailed: The Temporal server did not start: it ended with status 1\. Nothing was paid/,
    );
    expect(error).toContain('no such file or directory');
  });
});

test.skipIf(process.platform === 'win32')('a server that never answers is given up, with no process left', async () => {
  const pidFile = join(directory, 'pid');
  const silent = join(directory, 'temporal');
  await writeFile(
    silent,
    `#!/bin/sh\n[ "$1" = --version ] && exec echo temporal version 1.9.1\necho $$ > '${pidFile}'\necho hello\nexec sleep 60\n`,
  );
  await chmod(silent, 0o755);
  const options = { log, env: { ...env, TEMPORAL_CLI_PATH: silent }, ui: false, port: 0, readyTimeoutMs: 1_000 };
  await expect(startDevServer(options)).rejects.toThrow(/it did not answer within 1 s\. .*printed:\nhello/);
  expect(isAlive(Number(await readFile(pidFile, 'utf8')))).toBe(false);
});

test('the server does not get our settings, least of all the API key', async () => {
  const secret = { RIVYA_API_KEY: 'rvya_sk_secret', NODE_OPTIONS: '--no-warnings' };
  const server = await startDevServer({ log, env: { ...env, ...secret }, ui: false, port: 0 });
  await withServer(server, async () => {
    if (process.platform !== 'linux') return;
    const environment = await readFile(`/proc/${server.pid}/environ`, 'utf8');
    expect(environment).toContain('PATH=');
    expect(environment).not.toContain('rvya_sk_secret');
  });
});

describe.skipIf(process.platform === 'win32')('the server and the program that started it', () => {
  const parents: ChildProcess[] = [];
  // Node 20 runs no TypeScript: the compiled module.
  const serverModule = pathToFileURL(join(root, 'dist', 'src', 'temporal', 'embedded', 'server.js')).href;

  afterAll(() => {
    for (const parent of parents) parent.kill('SIGKILL');
  });

  /** Starts the program in a process group of its own, as a terminal does. */
  async function startParent(mode: 'wait' | 'forget') {
    const script = fileURLToPath(new URL('./fixtures/parent.mjs', import.meta.url));
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const parent = spawn(process.execPath, [script, serverModule, mode], { env, detached: true, stdio: [...stdio] });
    parents.push(parent);
    let printed = '';
    parent.stdout?.on('data', (chunk) => (printed += String(chunk)));
    const exited = once(parent, 'exit');
    await expect.poll(() => printed, { timeout: 180_000 }).toContain('\n');
    return { parent, exited, pid: parseInt(printed, 10), printed: () => printed };
  }

  test('a parent that is killed takes the server with it', async () => {
    const { parent, pid } = await startParent('wait');
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 180_000 }).toBe(false);
  });

  test('Ctrl-C reaches the parent only: the server lives until the parent stops it', async () => {
    const { parent, exited, pid, printed } = await startParent('wait');
    process.kill(-Number(parent.pid), 'SIGINT');
    await expect.poll(printed, { timeout: 180_000 }).toContain('interrupted');
    // A server that had got the signal ends within a second; give it two.
    const until = Date.now() + 2_000;
    while (isAlive(pid) && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isAlive(pid)).toBe(true);
    process.kill(-Number(parent.pid), 'SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(isAlive(pid)).toBe(false);
  });

  test('a parent that has finished and forgot to stop the server is not kept alive by it', async () => {
    const { exited, pid } = await startParent('forget');
    expect(await exited).toEqual([0, null]);
    await expect.poll(() => isAlive(pid), { timeout: 180_000 }).toBe(false);
  });

  test('a lifeline that is killed takes the server with it', async () => {
    const server = await startDevServer({ log, env, ui: false, port: 0 });
    const { ppid } = await processInfo(server.pid);
    process.kill(ppid, 'SIGKILL');
    await expect.poll(() => isAlive(server.pid), { timeout: 180_000 }).toBe(false);
    await server.stop();
  });

  async function processInfo(pid: number): Promise<{ ppid: number }> {
    return { ppid: Number(await run('ps', ['-o', 'ppid=', '-p', String(pid)], { env, timeoutMs: 10_000 })) };
  }
});
