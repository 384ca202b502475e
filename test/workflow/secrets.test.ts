/** An API that repeats the key in everything it says: the key shows nowhere that anybody keeps or reads. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accountWorkflowId } from '../../src/contract/index.js';
import type { Fault, FaultAction, FaultTarget } from '../../src/emulator/index.js';
import { runCommand } from '../cli/command.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

// Every character of it means something somewhere.
const ODD_KEY = `S3c"r\\3t'(.*)+[^a]$&$1|{2}<b>%41/~`;
/** Keys of two shapes. `test/api` has more. */
const KEYS = [
  ['of Rivya', 'rvya_sk_9fQ2.xW7+Lm/4Zt=Kd81-cVb'],
  ['of odd characters', ODD_KEY],
] as const;

// Two Workers and eight commands are processes, which a busy machine starts slowly.
const SLOW_MS = 180_000;

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const json = (text: string): string => JSON.stringify(text).slice(1, -1);
const html = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The forms in which a server, a proxy or a library can repeat a key. */
const formsOf = (key: string): string[] => [
  key,
  encodeURIComponent(key),
  json(key),
  html(key),
  base64(key),
  base64(`Bearer ${key}`),
];

/** What of the key shows in the text: any 12 characters in a row, in any form. */
function shown(text: string, key: string): string | null {
  for (const form of formsOf(key)) {
    // Of the Base64 form, the first characters say only "Bearer".
    for (let at = form === base64(`Bearer ${key}`) ? 12 : 0; at === 0 || at + 12 <= form.length; at++) {
      const piece = form.slice(at, at + 12);
      const found = text.indexOf(piece);
      if (found >= 0) return text.slice(Math.max(0, found - 200), found + 40);
    }
  }
  return null;
}

type End = 'well' | 'failed' | 'held';

/** Everything that an API or a proxy can do with the key, by the prompt that it happens to, and how that ends. */
function echoes(key: string): readonly (readonly [prompt: string, end: End, on: FaultTarget, does: FaultAction])[] {
  const said = `You sent ${formsOf(key).join(' and ')}, also known as ${key.slice(0, 14)}...`;
  const request = { headers: { authorization: `Bearer ${key}` } };
  const error = (code: string, requestId: string) => ({ error: { code, message: said, requestId, request }, request });
  const reply = (status: number, body: unknown): FaultAction => ({
    kind: 'reply',
    status,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'X-Request-Id': key, 'WWW-Authenticate': `Bearer realm="${encodeURIComponent(key)}"` },
  });
  const location = `https://example.com/?key=${encodeURIComponent(key)}`;
  return [
    ['told in a refusal', 'failed', 'create', { kind: 'error', code: 'validation_failed', message: said }],
    ['told on the command line', 'failed', 'create', { kind: 'error', code: 'validation_failed', message: said }],
    ['told in a hold', 'held', 'create', { kind: 'error', code: 'api_key_invalid', message: said }],
    ['told in a held check', 'held', 'status', { kind: 'error', code: 'api_scope_denied', message: said }],
    ['told in a check', 'well', 'status', { kind: 'error', code: 'internal_error', message: said }],
    ['request in a refusal', 'failed', 'create', reply(400, error('validation_failed', key))],
    ['key as a code', 'well', 'create', reply(400, error(key, 'req_1'))],
    ['page of a proxy', 'well', 'create', reply(502, `<pre>${said}</pre>`)],
    ['redirect', 'well', 'create', { kind: 'redirect', location }],
    ['connection that breaks', 'well', 'create', { kind: 'dropBefore' }],
    ['status word', 'well', 'status', { kind: 'status', status: key }],
    ['download', 'well', 'media', reply(403, said)],
  ];
}

describe.concurrent.each(KEYS)('a key %s', (_, key) => {
  let harness: Harness;
  let directory: string;
  let worker: ChildProcess;
  let log = '';

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'rivya-secrets-'));
    const faults = echoes(key).map(([prompt, , on, does]): Fault => ({ on, prompt, times: 1, do: does }));
    const ofCredits: Fault = { on: 'credits', do: echoes(key)[0]![3] };
    harness = await startHarness({ workers: false, emulator: { keys: [{ key }], faults: [...faults, ofCredits] } });
    const env = { RIVYA_RATE_LIMIT_PER_MINUTE: '60000' };
    worker = spawnWorker({ ...harness, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [worker.stdout, worker.stderr]) {
      stream?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    }
  });
  afterAll(async () => {
    await kill(worker);
    await harness[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  test(
    'shows in no history, memo, query, details, log line, output, error or stored file',
    async () => {
      const { client, temporal, output, emulator, taskQueue } = harness;
      const texts = new Map<string, string>();
      const account = temporal.workflow.getHandle(accountWorkflowId(taskQueue));

      const command = async (...args: string[]): Promise<void> => {
        // Each is a process, and slow to start: one key for all.
        if (key !== ODD_KEY) return;
        const env = {
          RIVYA_API_KEY: key,
          RIVYA_DEBUG: '1',
          RIVYA_BASE_URL: emulator.url,
          RIVYA_TASK_QUEUE: taskQueue,
          ...harness.temporalEnv,
        };
        const { status, stdout, stderr } = await runCommand(args, { env, cwd: directory });
        texts.set(args.join(' '), `${status} ${stdout} ${stderr}`);
      };

      const look = async (workflowId: string, name: string): Promise<void> => {
        const workflow = temporal.workflow.getHandle(workflowId);
        const history = historyToJSON(await workflow.fetchHistory());
        const decoded = history.replace(/"data": "([^"]+)"/g, (__, data: string) =>
          Buffer.from(data, 'base64').toString(),
        );
        texts.set(`history of ${name}`, `${history} ${decoded}`);
        const details = await workflow.query('__temporal_workflow_metadata');
        texts.set(`state of ${name}`, inspect([await workflow.describe(), details], { depth: 20 }));
      };

      const run = async (prompt: string, expected: End): Promise<void> => {
        const handle = await client.start({ model: 'z-image', prompt });
        if (expected === 'held') {
          await until(async () => (await stateOf(handle)).phase === 'held', SLOW_MS);
          await look(handle.workflowId, `${prompt}, held`);
          const { hold } = await stateOf(handle);
          texts.set(`hold of ${prompt}`, inspect(hold));
          await command('status', handle.workflowId, '--json');
          const release = () => account.executeUpdate('release', { args: [{ code: hold?.code }] });
          await until(() => release().then(Boolean, () => false), SLOW_MS);
        }
        const end: unknown = await handle.result().catch((error: unknown) => error);
        expect([prompt, end instanceof Error ? 'failed' : 'well']).toEqual([
          prompt,
          expected === 'failed' ? 'failed' : 'well',
        ]);
        const stack = end instanceof Error ? end.stack : '';
        texts.set(
          `end of ${prompt}`,
          `${inspect(end, { depth: 20, showHidden: true })} ${JSON.stringify(end)} ${stack}`,
        );
        await look(handle.workflowId, prompt);
        texts.set(`query of ${prompt}`, inspect(await handle.state(), { depth: 20 }));
      };

      await until(() => log.includes('task queue'), SLOW_MS);
      const prompts = echoes(key).filter(([prompt]) => prompt !== 'told on the command line');
      await Promise.all([
        ...prompts.filter(([, end]) => end !== 'held').map(([prompt, end]) => run(prompt, end)),
        command('generate', '--model', 'z-image', '--prompt', 'told on the command line', '--json'),
        command('credits'),
        command('doctor', '--json'),
      ]);
      // The cause of each holds all others too.
      for (const [prompt, end] of prompts.filter(([, how]) => how === 'held')) await run(prompt, end);
      await look(account.workflowId, 'the account');
      expect(texts.get('history of the account')).toContain('You sent');
      await command('list', '--json');
      worker.kill('SIGTERM');
      await once(worker, 'close');
      texts.set('log of the Worker', log);
      for (const file of await readdir(output, { recursive: true, withFileTypes: true })) {
        if (file.isFile()) {
          const name = path.join(file.parentPath, file.name);
          texts.set(name, await readFile(name, 'latin1'));
        }
      }

      // What was looked at is what it should be, or it would prove nothing.
      expect(log).toMatch(/"level":"WARN".*validation_failed/);
      expect(texts.get('history of told in a refusal')).toContain('You sent');
      if (key === ODD_KEY) expect(texts.get('credits')).toContain('You sent');
      expect([...texts.keys()].filter((name) => name.endsWith('.png')).length).toBeGreaterThan(5);
      const leaks = [...texts].map(([name, text]) => [name, shown(text, key)] as const);
      expect(leaks.filter(([, leak]) => leak !== null)).toEqual([]);
    },
    2 * SLOW_MS,
  );
});
