/** A batch whose store is in S3: it goes on after an outage, and its tables, page and files can be had. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { CommandRun, type Finished } from '../cli/command.js';
import { tasksByPrompt } from '../support/batch.js';
import { S3_SETUP_MS, startS3Server, type S3Server } from '../support/s3-server.js';
import { until } from '../support/until.js';

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
}, S3_SETUP_MS);
afterAll(() => server.remove());

test('an outage of the store holds it, then it goes on by itself: each item is paid once, and in tables, page and folder', async () => {
  const names = Array.from({ length: 12 }, (_, n) => `fox ${n + 1}`);
  const emulator = await startEmulator({ durations: { image: 3_000 }, rateLimitPerMinute: 60_000 });
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-batch-s3-'));
  writeFileSync(
    path.join(cwd, 'in.csv'),
    `sku,model,prompt\n${names.map((name, n) => `${n},z-image,${name}\n`).join('')}`,
  );
  const env = {
    ...server.env,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    XDG_DATA_HOME: cwd,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
  };
  const store = ['--store', `s3://${server.bucket}/media`];
  const start = (...args: string[]): CommandRun => new CommandRun(['batch', ...args, ...store], { cwd, env });
  const done = async (...args: string[]): Promise<Finished> => {
    const run = start(...args);
    expect(await run.status, run.stderr).toBe(0);
    return run as unknown as Finished;
  };
  const inStore = (...place: string[]): string => path.join(server.folder, 'media', 'in', ...place);

  const run = start('run', 'in.csv', '--max-in-flight', '2');
  await until(async () => Object.keys(await tasksByPrompt({ emulator })).length >= 3, 120_000);
  await server.stop();
  await run.untilSaid(/Held: .*s3:\/\/media\/media cannot be .*the batch goes on by itself/);
  const paid = await tasksByPrompt({ emulator });
  expect(Object.keys(paid).length).toBeLessThan(names.length);
  await server.start();
  expect(await run.status, run.stderr).toBe(0);
  // A page in S3 is no file that could be opened here.
  const look = `batch report in --store s3://${server.bucket}/media\n`;
  expect(run.stdout).toContain(look);
  expect((await done('status', 'in')).stdout).toContain(look);
  expect(await tasksByPrompt({ emulator })).toEqual(Object.fromEntries(names.map((name) => [name, 1])));
  const rows: Record<string, string>[] = parse(readFileSync(inStore('results.csv')), { columns: true });
  expect(rows.map(({ sku, prompt, status: ended }) => [sku, prompt, ended])).toEqual(
    names.map((name, n) => [`${n}`, name, 'succeeded']),
  );
  expect((await done('report', 'in')).stdout).toContain(`s3://${server.bucket}/media/in/report.html`);
  const page = readFileSync(inStore('report.html'), 'utf8');
  expect((await done('download', 'in', './here', '--name', '{sku}')).stdout).toMatch(/^12 copied to \.\/here/);
  for (const { sku, path: place = '' } of rows) {
    expect(page).toContain(`src="${place}"`);
    expect(readFileSync(path.join(cwd, 'here', `${sku}.png`))).toEqual(readFileSync(inStore(place)));
  }
  await emulator.close();
});
