/** The processes of docker-compose.yml, with its commands and settings but without containers: a generation comes out. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { CommandRun, runCommand } from '../cli/command.js';
import { commandOf, environmentOf, services } from '../support/compose.js';
import { until } from '../support/until.js';

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `${port}`;
}

test('what `docker compose up` starts makes an image without a key', async () => {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-compose-'));
  // The volumes.
  for (const folder of ['output', 'home']) mkdirSync(path.join(cwd, folder));
  const [grpc, ui, port] = [await freePort(), await freePort(), await freePort()];
  // What the containers bring: host names, ports and volumes of their own.
  const here = (text: string): string =>
    text
      .replaceAll('temporal:7233', `127.0.0.1:${grpc}`)
      .replaceAll('8787', port)
      .replaceAll('/output', `${cwd}/output`)
      .replaceAll('/home/temporal', `${cwd}/home`);
  const { worker = '', emulator = '', temporal = '' } = Object.fromEntries(services());
  const settings = Object.entries(environmentOf(worker)).map(([name, value]) => [name, here(value)]);
  const env = { XDG_DATA_HOME: cwd, ...(Object.fromEntries(settings) as NodeJS.ProcessEnv) };

  const binary = await findServerBinary({ log: () => undefined });
  const ports = ['--port', grpc, '--ui-port', ui];
  const server = spawn(binary, [...commandOf(temporal).map(here), ...ports], { stdio: 'ignore' });
  const runs = [new CommandRun(commandOf(emulator).map(here), { cwd, env: { XDG_DATA_HOME: cwd } })];
  try {
    await until(async () => (await fetch(`http://127.0.0.1:${port}/api/v1/models`).catch(() => null))?.ok === true);
    const setup = async () => (await runCommand(['setup', '--dry-run'], { cwd, env })).stdout;
    await expect.poll(setup, { timeout: 60_000 }).toMatch(/^RivyaCredits +DOUBLE +was there$/m);
    runs.push(new CommandRun(['worker'], { cwd, env }));
    await until(async () => (await runCommand(['doctor', '--worker'], { cwd, env })).status === 0);
    const args = ['generate', '--model', 'z-image', '--prompt', 'a lighthouse at dawn', '--json'];
    const { status, stdout, stderr } = await runCommand(args, { cwd, env });
    expect(stderr).toContain('http://localhost:8233/namespaces/emulator/');
    expect(JSON.parse(stdout)).toMatchObject({ status: 'succeeded', simulated: true, files: [{}] });
    expect(readdirSync(path.join(cwd, 'output'))).toContain('emulator.json');
    expect(status).toBe(0);
  } finally {
    for (const { child } of runs.toReversed()) child.kill('SIGTERM');
    await Promise.all(runs.map((run) => run.status));
    server.kill('SIGTERM');
  }
});
