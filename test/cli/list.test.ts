/** What a person sees: the newest first, in columns that fit, chosen by what is asked for; steps of a Workflow by its ID. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-list-'));
// What must never reach a terminal as it is: a colour, a bell, a C1 sequence, and a text that runs backwards.
const HOSTILE = 'evil-\u001b[31m\u0007\u009b2J\u202Etxt';
const WIDE = '狐狸👩‍👩‍👧e\u0301';
const LONG = `long-${'x'.repeat(200)}`;
let harness: Harness;
let env: NodeJS.ProcessEnv;

interface Row {
  readonly workflowId: string;
  readonly state: string;
  readonly reason: string | null;
  readonly startedAt: string;
}

const NO_KEY: Fault = { on: 'create', prompt: 'no key', do: { kind: 'error', code: 'api_key_revoked' } };

beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      faults: [
        { on: 'create', prompt: 'held', do: { kind: 'error', code: 'insufficient_credits' } },
        NO_KEY,
        {
          on: 'create',
          prompt: 'busy',
          do: { kind: 'error', code: 'rate_limited', retryAfter: '60', message: HOSTILE },
        },
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
      ],
    },
  });
  env = { ...harness.temporalEnv, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: harness.taskQueue };
  // Started first, ended last.
  await start('stuck', { labels: { shop: 'fox' } });
  await until(async () => (await memo('stuck'))?.taskId != null);
  await Promise.all([
    start('done', { labels: { shop: 'fox', team: 'red' } }),
    start('a film', { model: 'sora-2' }),
    start('fails'),
    start('held', { labels: { shop: 'fox' } }),
    start('no key'),
    start('busy'),
    start('stuck', {}, HOSTILE),
    start('stuck', {}, WIDE),
    start('stuck', {}, LONG),
    encrypted('encrypted'),
    pipeline('film', 'first', 'held'),
    pipeline('two', 'no key', 'held'),
    harness.temporal.workflow.start('childNames', { workflowId: 'empty', taskQueue: 'nobody', args: [] }),
  ]);
  await harness.client.handle('stuck').cancel();
  await until(async () => {
    const states = await Promise.all(['held', 'no key', 'film/b', 'two/a', 'two/b'].map(phaseOf));
    return states.every((phase) => phase === 'held');
  });
  await until(
    async () => (await harness.client.handle('busy').describe()).raw.pendingActivities?.[0]?.lastFailure != null,
  );
  await until(async () => (await count("ExecutionStatus = 'Completed'")) === 3);
  await until(async () => (await count("ExecutionStatus IN ('Failed', 'Canceled')")) === 2);
});
afterAll(() => harness[Symbol.asyncDispose]());

function start(prompt: string, more: Partial<GenerateMediaInput> = {}, workflowId = prompt): Promise<unknown> {
  return harness.client.start({ model: 'z-image', prompt, ...more }, { workflowId });
}

/** A Workflow of the user's own, with two steps at the same time. */
function pipeline(workflowId: string, ...prompts: string[]): Promise<unknown> {
  const { taskQueue } = harness;
  const args = prompts.map((prompt) => ({ model: 'z-image', prompt, options: { taskQueue } }));
  return harness.temporal.workflow.start('twoAtOnce', { workflowId, taskQueue, args });
}

/** A generation whose memo is under a codec that the command does not have. */
async function encrypted(workflowId: string): Promise<void> {
  const metadata = { encoding: new TextEncoder().encode('binary/foreign') };
  const foreign: PayloadCodec = {
    encode: (payloads) => Promise.resolve(payloads.map((one) => ({ ...one, metadata }))),
    decode: (payloads) => Promise.resolve(payloads),
  };
  const { connection } = harness.temporal;
  const other = new Client({ connection, namespace: harness.namespace, dataConverter: { payloadCodecs: [foreign] } });
  const options = { workflowId, taskQueue: 'nobody', memo: { rivya: {} }, args: [{}] };
  await (await other.workflow.start('generateMedia', options)).terminate();
}

async function memo(workflowId: string) {
  return memoOf(await harness.client.handle(workflowId).describe());
}

async function phaseOf(workflowId: string): Promise<string | null> {
  return (await memo(workflowId).catch(() => null))?.phase ?? null;
}

async function count(query: string): Promise<number> {
  const answer = await harness.temporal.workflowService.countWorkflowExecutions({
    namespace: harness.namespace,
    query: `WorkflowType = 'generateMedia' AND ${query}`,
  });
  return Number(answer.count);
}

function cli(...args: string[]): Promise<Finished> {
  return runCommand(args, { cwd, env });
}

async function rows(...args: string[]): Promise<Row[]> {
  const { stdout } = await cli('list', ...args, '--json');
  return (JSON.parse(stdout) as { generations: Row[] }).generations;
}

async function ids(...args: string[]): Promise<string[]> {
  return (await rows(...args)).map(({ workflowId }) => workflowId).toSorted();
}

describe('list', () => {
  test('the newest start comes first, also where another one has ended later', async () => {
    const all = await rows();
    const starts = all.map(({ startedAt }) => startedAt);
    expect(starts).toEqual(starts.toSorted().toReversed());
    expect(all.at(-1)).toMatchObject({ workflowId: 'stuck', state: 'cancelled' });
    const two = await rows('--limit', '2');
    expect(two.map(({ startedAt }) => startedAt)).toEqual(starts.slice(0, 2));
    const ended = await rows('--query', 'CloseTime IS NOT NULL', '--limit', '3');
    expect(ended.map(({ workflowId }) => workflowId)).not.toContain('stuck');
  });

  // No search attribute is registered in this namespace.
  test.each<[string, string[], string[]]>([
    ['--status held', ['--status', 'held'], ['film/b', 'held', 'no key', 'two/a', 'two/b']],
    ['--status held:<code>', ['--status', 'held:api_key_revoked'], ['no key', 'two/a']],
    ['--status completed', ['--status', 'completed'], ['a film', 'done', 'film/a']],
    ['--status failed', ['--status', 'failed'], ['fails']],
    ['--status cancelled', ['--status', 'cancelled'], ['stuck']],
    ['--status terminated', ['--status', 'terminated'], ['encrypted']],
    ['--model', ['--model', 'sora-2'], ['a film']],
    ['--label', ['--label', 'shop=fox'], ['done', 'held', 'stuck']],
    ['two labels', ['--label', 'shop=fox', '--label', 'team=red'], ['done']],
    ['--id-prefix', ['--id-prefix', 'two/'], ['two/a', 'two/b']],
    ['a prefix with control characters', ['--id-prefix', HOSTILE.slice(0, 8)], [HOSTILE]],
    ['--since in the future', ['--since', '2999-01-01'], []],
    ['--query', ['--query', "WorkflowId = 'done' OR WorkflowId = 'held'"], ['done', 'held']],
    ['all at once', ['--status', 'held', '--label', 'shop=fox', '--since', '1h', '--id-prefix', 'h'], ['held']],
  ])('chooses by %s', async (_, args, expected) => {
    expect(await ids(...args)).toEqual(expected.toSorted());
  });

  test('a query that the Service refuses is named, with status 2', async () => {
    for (const query of ["Nope = 'x'", "WorkflowId = 'a') OR (WorkflowId = 'b'", '']) {
      expect(await cli('list', '--query', query)).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/^--query: /),
      });
    }
  });

  test('says why: the hold, the last failure of a submit and since when, and how it failed', async () => {
    const reasons = new Map((await rows()).map(({ workflowId, reason }) => [workflowId, reason]));
    expect(reasons.get('held')).toMatch(/insufficient_credits/);
    expect(reasons.get('busy')).toMatch(/rate_limited.*\(attempt \d+ since 2.*Z; the last one failed at 2.*Z\)/s);
    expect(reasons.get('fails')).toMatch(/GenerationFailed/);
    expect(reasons.get('stuck')).toMatch(/Cancelled\. Task task_\w+ goes on at Rivya; wait for it without paying/);
    expect(reasons.get('done')).toBeNull();
  });

  test('a memo that cannot be read is shown, counted and named, and the others are read', async () => {
    const { status, stdout, stderr } = await cli('list');
    expect(status).toBe(5);
    expect(stdout).toMatch(/^encrypted +terminated .*not readable: /m);
    expect(stderr).toMatch(/encrypted/);
    expect(stdout).toMatch(/^held +held +z-image/m);
    // Its model is not known.
    expect(await ids('--model', 'z-image')).not.toContain('encrypted');
  });

  test('lines fit the terminal, columns stand below each other, and JSON is never cut', async () => {
    const { stdout } = await runCommand(['list'], { cwd, env: { ...env, COLUMNS: '90' } });
    const lines = stdout.trimEnd().split('\n');
    expect(Math.max(...lines.map(columnsOf))).toBeLessThanOrEqual(90);
    const at = columnsOf(lines[0]?.split('STATUS')[0] ?? '');
    const wide = lines.find((line) => line.startsWith(WIDE)) ?? '';
    expect(columnsOf(wide.split('running')[0] ?? '')).toBe(at);
    expect(stdout).toMatch(/^long-x+…/m);
    expect((await cli('list')).stdout).toContain(LONG);
    expect(await ids()).toContain(LONG);
  });

  test('what comes from outside cannot steer the terminal, as text or as JSON', async () => {
    for (const { stdout, stderr } of await Promise.all([
      cli('list'),
      cli('list', '--json'),
      cli('status', HOSTILE),
      cli('status', 'busy'),
      cli('status', `${HOSTILE}-not-there`),
    ])) {
      expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
      expect(stdout + stderr).toContain(String.raw`2J\u202etxt`);
    }
    expect((await cli('list')).stdout).toContain(String.raw`evil-\u001b[31m\u0007\u009b2J\u202etxt`);
    expect(await ids()).toContain(HOSTILE);
  });
});

/** Columns on a terminal, of the few signs in this test. */
function columnsOf(line: string): number {
  const narrow = line
    .replaceAll('👩‍👩‍👧', 'xx')
    .replaceAll(/[狐狸]/g, 'xx')
    .normalize('NFC');
  return [...narrow].length;
}

describe('the steps of a Workflow of the user', () => {
  test('status shows each with its state, its reason and what to do', async () => {
    const { status, stdout } = await cli('status', 'film');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^film \(twoAtOnce\): running$/m);
    expect(stdout).toMatch(/^a +completed +z-image +task_\w+ +1 /m);
    expect(stdout).toMatch(/^b +held +z-image .*insufficient_credits/m);
    expect(stdout).toMatch(/^b: .*credits.* rivya-temporal resume film\/b/m);
    const { stdout: json } = await cli('status', 'film', '--json');
    expect(JSON.parse(json)).toMatchObject({
      workflowId: 'film',
      workflowStatus: 'RUNNING',
      steps: expect.arrayContaining([expect.objectContaining({ step: 'b', workflowId: 'film/b', state: 'held' })]),
    });
  });

  test('one that has none says so, with status 2', async () => {
    expect(await cli('status', 'empty')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/"empty" \(childNames\) has no steps/),
    });
  });

  test('resume names the steps where several are held, or none, or none of that name', async () => {
    const refused = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await cli('resume', ...args);
      expect(status).toBe(2);
      return stderr;
    };
    expect(await refused('two')).toMatch(
      /several.*npx rivya-temporal resume two --step <step>\. Its steps: .*a \(held\)/,
    );
    expect(await refused('two', '--step', 'c')).toMatch(/no step "c" \(--step\)\. Its steps: .*b \(held\)/);
    expect(await refused('empty')).toMatch(/no step that is held\. Its steps: none/);
  });

  test('resume lets the only held step go on, or the one that is named', async () => {
    harness.emulator.setFaults([NO_KEY]);
    const [film, two] = await Promise.all([cli('resume', 'film'), cli('resume', 'two', '--step', 'b', '--json')]);
    expect(film).toMatchObject({ status: 0, stdout: expect.stringContaining('rivya-temporal wait film/b') });
    expect(JSON.parse(two.stdout)).toMatchObject({ workflowId: 'two/b', applied: true });
    await Promise.all(['film/b', 'two/b'].map((id) => harness.client.handle(id).result()));
    // It looks by itself each minute, in between.
    await until(async () => (await phaseOf('two/a')) === 'held');
  });
});
