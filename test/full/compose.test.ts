/** The processes of docker-compose.yml, with its commands and settings but without containers: a generation comes out. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { freePort } from '../../src/temporal/embedded/ready.js';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { CommandRun, runCommand } from '../cli/command.js';
import { commandOf, environmentOf, services } from '../support/compose.js';
import { until } from '../support/until.js';

const DEPLOY = fileURLToPath(new URL('../../deploy/temporal', import.meta.url));

test('what `docker compose up` starts makes an image without a key', async () => {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-compose-'));
  // The volumes.
  mkdirSync(path.join(cwd, 'output'));
  const log = (): undefined => undefined;
  const [port, health, metrics] = [await freePort(), await freePort(), await freePort()];
  // In place of the server and its database; deploy/try-stack.sh runs those.
  const server = await startDevServer({ log, ui: false, port: 0 });
  // What the containers bring: host names, ports and volumes of their own.
  const here = (text: string): string =>
    text
      .replaceAll('temporal:7233', server.address)
      .replaceAll('8787', `${port}`)
      .replace(/:8080$/, `:${health}`)
      .replace(/:9464$/, `:${metrics}`)
      .replaceAll('/output', `${cwd}/output`);
  const { worker = '', emulator = '', setup = '' } = Object.fromEntries(services());
  const settings = Object.entries(environmentOf(worker)).map(([name, value]) => [name, here(value)]);
  const env = { XDG_DATA_HOME: cwd, ...(Object.fromEntries(settings) as NodeJS.ProcessEnv) };
  const runs = [new CommandRun(commandOf(emulator).map(here), { cwd, env: { XDG_DATA_HOME: cwd } })];
  const answers = async (url: string): Promise<boolean> => (await fetch(url).catch(() => null))?.ok === true;
  try {
    // The image has the CLI on its PATH.
    symlinkSync(await findServerBinary({ log }), path.join(cwd, 'temporal'));
    const [shell = '', ...args] = commandOf(setup).map((word) => word.replace('/etc/rivya', DEPLOY));
    const withCli = { ...process.env, PATH: `${cwd}:${process.env['PATH']}`, TEMPORAL_ADDRESS: server.address };
    // Each start of the stack runs it again.
    for (let run = 1; run <= 2; run++) await promisify(execFile)(shell, args, { cwd, env: withCli });
    expect((await runCommand(['setup', '--dry-run'], { cwd, env })).stdout).toMatch(
      /^RivyaCredits +DOUBLE +was there$/m,
    );
    await until(() => answers(`http://127.0.0.1:${port}/api/v1/models`));
    runs.push(new CommandRun(['worker'], { cwd, env }));
    await until(() => answers(`http://127.0.0.1:${health}/readyz`));
    const generate = ['generate', '--model', 'z-image', '--prompt', 'a lighthouse at dawn', '--json'];
    const { status, stdout, stderr } = await runCommand(generate, { cwd, env });
    expect(stderr).toContain('http://localhost:8233/namespaces/emulator/');
    expect(JSON.parse(stdout)).toMatchObject({ status: 'succeeded', simulated: true, files: [{}] });
    expect(readdirSync(path.join(cwd, 'output'))).toContain('emulator.json');
    expect(status).toBe(0);
  } finally {
    for (const { child } of runs.toReversed()) child.kill('SIGTERM');
    await Promise.all(runs.map((run) => run.status));
    await server.stop();
  }
});
