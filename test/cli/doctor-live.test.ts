/** `doctor --live`: what it says of an account is true, and no account can make it spend more than was agreed to. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createRivyaClient, Secret, staticKey } from '../../src/api/index.js';
import { confirmSpending } from '../../src/cli/confirm.js';
import { UsageError } from '../../src/cli/errors.js';
import { assess, statusOf, type LiveReport } from '../../src/cli/live/assess.js';
import { clockOffset, readHeaders } from '../../src/cli/live/headers.js';
import { chooseModel, doctorLive, type LiveOptions } from '../../src/cli/live/live.js';
import { probe, type Observed } from '../../src/cli/live/probe.js';
import { record, writeRecording } from '../../src/cli/live/record.js';
import { Wire, type NamedExchange } from '../../src/cli/live/wire.js';
import {
  ALL_SCOPES,
  DEFAULT_SWITCHES,
  EMULATOR_API_KEY,
  startEmulator,
  SWITCH_VALUES,
  type Emulator,
  type EmulatorOptions,
  type EmulatorSwitches,
  type Fault,
  type Ledger,
  type Scope,
} from '../../src/emulator/index.js';
import { readInput } from '../../src/policy/index.js';
import { runCommand } from './command.js';

const START = Date.parse('2026-05-10T00:00:00.000Z');
const directory = mkdtempSync(path.join(tmpdir(), 'rivya-doctor-live-'));

// Tests at the same time share one list.
const open: { close(): unknown }[] = [];
afterAll(async () => {
  for (const one of open) await one.close();
});

async function start(options: EmulatorOptions): Promise<Emulator> {
  const emulator = await startEmulator(options);
  open.push(emulator);
  return emulator;
}

/** An emulator on whose clock each request is a second after the one before, so that nothing depends on real time. */
function account(options: EmulatorOptions = {}): Promise<Emulator> {
  let now = START;
  return start({ clock: () => (now += 1_000), ...options });
}

interface Looked {
  readonly observed: Observed;
  readonly report: LiveReport;
  readonly status: number;
  readonly ledger: Ledger;
  /** Credits that the account is poorer by. */
  readonly spent: number;
  readonly said: string;
  readonly exchanges: readonly NamedExchange[];
}

interface Look {
  readonly baseUrl?: string;
  readonly maxCredits?: number;
  readonly waitMs?: number;
  readonly interrupted?: AbortSignal;
  readonly apiKey?: string;
  readonly say?: (line: string) => void;
}

async function look(emulator: Emulator, options: Look = {}): Promise<Looked> {
  const { baseUrl = emulator.url, maxCredits = 2, waitMs, interrupted = new AbortController().signal } = options;
  const before = sum((await emulator.ledger()).credits);
  const wire = new Wire(baseUrl, new Secret(options.apiKey ?? emulator.apiKey), {});
  const said: string[] = [];
  const say = (line: string): void => {
    said.push(line);
    options.say?.(line);
  };
  try {
    const { value } = await wire.step('models', (client) => client.listModels());
    const model = chooseModel(value?.models ?? [], maxCredits);
    const limits = { maxCredits, pollMs: 1, ...(waitMs !== undefined && { waitMs }) };
    const observed = await probe({ wire, model, say, interrupted, ...limits });
    const report = assess(observed, wire.exchanges);
    const ledger = await emulator.ledger();
    return {
      observed,
      report,
      status: statusOf(report.findings, observed.interrupted),
      ledger,
      spent: before - sum(ledger.credits),
      said: said.join('\n'),
      exchanges: wire.exchanges,
    };
  } finally {
    await wire.close();
  }
}

function sum(credits: Readonly<Record<string, number>>): number {
  return Object.values(credits).reduce((total, one) => total + one, 0);
}

function says({ report }: Looked, name: string): string {
  const found = report.findings.filter((finding) => finding.name === name);
  return found.map((finding) => `${finding.level}: ${finding.says}`).join('\n');
}

/** POSTs of an emulator, in order. */
function posts(emulator: Emulator): readonly string[] {
  return emulator.requests().flatMap(({ method, body }) => (method === 'POST' ? [body] : []));
}

/** Something between the probe and the emulator that is not as the documentation says. */
async function proxy(
  emulator: Emulator,
  change: (request: { headers: Record<string, string>; body: string }) => unknown,
): Promise<string> {
  const read = async (message: IncomingMessage): Promise<string> => {
    let text = '';
    for await (const chunk of message.setEncoding('utf8')) text += chunk;
    return text;
  };
  const server = createServer((request, response) => {
    void (async () => {
      const names = ['authorization', 'content-type', 'idempotency-key'];
      const given = names.flatMap((name) => [[name, request.headers[name]]]).filter(([, value]) => value !== undefined);
      const changed = { headers: Object.fromEntries(given) as Record<string, string>, body: await read(request) };
      await change(changed);
      const { method = 'GET' } = request;
      const answer = await fetch(emulator.url + request.url, {
        method,
        headers: changed.headers,
        ...(method === 'POST' && { body: changed.body }),
      });
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const OBSERVABLE: readonly string[] = ['createStatus', 'createBody', 'replay', 'storeRefusals', 'urls'];
// What makes a switch show that otherwise would not.
const CAUSES: Partial<Record<keyof EmulatorSwitches, Fault[]>> = {
  errorOnFailed: [{ on: 'create', do: { kind: 'fail' } }],
  // The second reading of the balance.
  retryAfter: [{ on: 'credits', skip: 1, times: 1, do: { kind: 'error', code: 'rate_limited' } }],
};
const SETTINGS = Object.entries(SWITCH_VALUES).flatMap(([name, values]) =>
  values.map((value) => [name as keyof typeof SWITCH_VALUES, value] as const),
);

// First, because it waits: the others run beside it.
describe.concurrent('the command', () => {
  const data = { XDG_DATA_HOME: directory };

  it('reports one JSON document, records the traffic without the key, and says what it does on stderr', async () => {
    const emulator = await start({ speed: 10 });
    const apiKey = 'rvya_sk_emulator.of-this/test=';
    emulator.setKeys([{ key: apiKey }]);
    // An API that repeats the key in what it says.
    const echo: Fault['do'] = { kind: 'error', code: 'validation_failed', message: `No such model for ${apiKey}.` };
    emulator.setFaults([{ on: 'create', skip: 3, times: 1, do: echo }]);
    const file = path.join(directory, 'record.json');
    const env = { ...data, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: apiKey };
    const args = ['doctor', '--live', '--yes', '--json', '--record', file];
    const { status, stdout, stderr } = await runCommand(args, { cwd: directory, env });
    expect(stderr).toMatch(/simulated credits.*under the idempotency key rivya-temporal-doctor-/s);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ ok: true, replayChargesOnce: 'yes', model: 'z-image', simulated: true });
    expect(status).toBe(0);
    const recorded = readFileSync(file, 'utf8');
    expect(JSON.parse(recorded).exchanges.map(({ step }: { step: string }) => step)).toContain('late replay');
    expect(recorded).toContain('[redacted]');
    for (const text of [stdout, stderr, recorded]) expect(text).not.toContain(apiKey);
    expect((await emulator.ledger()).paidTasks).toBe(1);
  });

  it('ends with 1 and a loud line where a replay is charged', async () => {
    const emulator = await start({ switches: { keyLifetimeMs: 0 }, speed: 10 });
    const env = { ...data, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey };
    const { status, stdout } = await runCommand(['doctor', '--live', '--yes'], { cwd: directory, env });
    expect(stdout).toMatch(/^fail {2}a replay charges once: NO/m);
    expect(stdout).toContain('startEmulator({"switches":{');
    expect(status).toBe(1);
    expect((await emulator.ledger()).paidTasks).toBe(2);
  });

  it('posts nothing where there is no terminal to ask on', async () => {
    const emulator = await start({});
    const env = { ...data, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey };
    const { status, stderr } = await runCommand(['doctor', '--live'], { cwd: directory, env });
    expect(stderr).toMatch(/--yes/);
    expect(status).toBe(2);
    expect(posts(emulator)).toEqual([]);
  });

  it('ends with 3 where the API cannot be reached', async () => {
    const env = { ...data, RIVYA_BASE_URL: 'http://127.0.0.1:1', RIVYA_API_KEY: 'rvya_sk_secret' };
    const { status, stderr } = await runCommand(['doctor', '--live', '--yes'], { cwd: directory, env });
    expect(status).toBe(3);
    expect(stderr).not.toContain('secret');
  });
});

describe.concurrent('an account that behaves as documented', () => {
  it.each(SETTINGS)('is told apart, and asked for one paid task: switch %s = %s', async (name, value) => {
    const faults = CAUSES[name] ?? [];
    const looked = await look(await account({ switches: { [name]: value }, faults }));
    const { report, status, ledger, spent } = looked;
    expect(ledger.paidTasks).toBe(1);
    expect(report).toMatchObject({ replayChargesOnce: 'yes', conflict: 'refused', simulated: true });
    expect(report.tasks.map(({ taskId }) => taskId)).toEqual(Object.keys(ledger.tasks));
    expect(status).toBe(0);
    const seen = OBSERVABLE.includes(name) || CAUSES[name] !== undefined;
    expect(report.switches[name].setting).toBe(seen ? value : null);
    expect(report.switches[name].says).toMatch(seen ? `${value}` : /^not seen: ./);
    // All that is said of the other switches is right as well, so an emulator of these settings behaves the same; the
    // clock of this one is made up.
    const { clockOffsetMs: _, ...settings } = report.emulator.switches;
    expect({ ...DEFAULT_SWITCHES, [name]: value }).toMatchObject(settings);
    if (name === 'errorOnFailed') return;
    expect(report).toMatchObject({ fell: 1, atMost: 1, conflictCost: 0 });
    expect(spent).toBe(1);
  });

  it('has every switch in the report', async () => {
    const { report } = await look(await account());
    expect(Object.keys(report.switches)).toEqual(Object.keys(DEFAULT_SWITCHES));
    expect(report.emulator.switches).toEqual({
      createStatus: 201,
      createBody: 'full',
      replay: 'stored',
      storeRefusals: false,
      urls: 'present',
      resultLagMs: 0,
      clockOffsetMs: expect.any(Number),
    });
  });

  it('may store a 500 or not', async () => {
    const fault: Fault = { on: 'create', do: { kind: 'error', code: 'internal_error' } };
    const stored = await look(
      await account({ switches: { storeServerErrors: true }, faults: [{ ...fault, times: 1 }] }),
    );
    const anew = await look(await account({ faults: [{ ...fault, times: 2 }] }));
    expect(stored.report.switches.storeServerErrors.setting).toBe(true);
    expect(anew.report.switches.storeServerErrors.setting).toBe(false);
    for (const { report, status, ledger } of [stored, anew]) {
      expect([report.replayChargesOnce, status, ledger.paidTasks]).toEqual(['unknown', 1, 0]);
    }
  });

  it('may show a result later than the status, and have a clock that is wrong', async () => {
    const late = await look(await account({ switches: { resultLagMs: 8_000 } }));
    expect(late.report.switches.resultLagMs.setting).toBeGreaterThan(0);
    expect(late.report.switches.urls.setting).toBe('present');
    const emulator = await start({ speed: 1_000, switches: { clockOffsetMs: -3_600_000 } });
    const wrong = await look(emulator);
    expect(Math.abs(wrong.report.switches.clockOffsetMs.setting! + 3_600_000)).toBeLessThan(60_000);
    expect(says(wrong, 'clock')).toMatch(/^warn: .*behind/);
  });

  it('may let a task fail or take longer than anybody waits', async () => {
    const failed = await look(await account({ faults: [{ on: 'create', do: { kind: 'fail' } }] }));
    expect(says(failed, 'task')).toMatch(/^warn: .*failed.*generation_failed/);
    const stuck = await look(await account({ faults: [{ on: 'create', do: { kind: 'stuck' } }] }), { waitMs: 300 });
    expect(says(stuck, 'task')).toMatch(/it goes on.*generate --model z-image --task-id task_/);
    expect(says(stuck, 'replay after the end')).toMatch(/not tried/);
    for (const { status, ledger, report } of [failed, stuck]) {
      expect([status, ledger.paidTasks, report.replayChargesOnce]).toEqual([0, 1, 'yes']);
    }
  });
});

describe.concurrent('an account that charges more than once is found out, for two tasks at most', () => {
  it.each([
    ['at once', 1, 'replay', 0],
    ['after the end', 8_000, 'replay after the end', expect.any(Number)],
  ])('forgets the key %s', async (_, keyLifetimeMs, where, setting) => {
    const looked = await look(await account({ switches: { keyLifetimeMs } }));
    expect(looked.ledger.keys[looked.observed.idempotencyKey]?.tasks).toHaveLength(2);
    expect(looked).toMatchObject({ status: 1, spent: 2, report: { replayChargesOnce: 'no', fell: 2, atMost: 2 } });
    expect(looked.report.switches.keyLifetimeMs.setting).toEqual(setting);
    expect(says(looked, where)).toMatch(/^fail: .*A SECOND TASK/);
    expect(says(looked, 'a replay charges once')).toMatch(/^fail: NO.*paid twice.*idempotencyWindow/);
  });

  it('forgets the key between the replay and the other body', async () => {
    const looked = await look(await account({ switches: { keyLifetimeMs: 4_000 } }));
    expect(looked).toMatchObject({ status: 1, spent: 2, report: { conflict: 'secondTask', conflictCost: null } });
    expect(says(looked, 'another body, same key')).toMatch(/^fail: .*A SECOND TASK/);
    expect(says(looked, 'replay after the end')).toMatch(/^warn: not tried: .*2 credits/);
  });

  it('knows no keys at all', async () => {
    const emulator = await account();
    const baseUrl = await proxy(emulator, ({ headers }) => delete headers['idempotency-key']);
    const looked = await look(emulator, { baseUrl });
    expect(looked).toMatchObject({ status: 1, spent: 2, report: { replayChargesOnce: 'no' } });
    expect(posts(emulator)).toHaveLength(2);
  });

  it('charges a replay without a second task, or something else uses the account', async () => {
    const emulator = await account();
    let charged = 0;
    // As if each POST cost a credit, the first with its task.
    const baseUrl = await proxy(emulator, async ({ headers }) => {
      if ('idempotency-key' in headers && (charged += 1) > 1) await emulator.setCredits(undefined, 1_000 - charged);
    });
    const looked = await look(emulator, { baseUrl });
    expect(looked.ledger.paidTasks).toBe(1);
    expect(looked).toMatchObject({ status: 1, report: { replayChargesOnce: 'unknown' } });
    expect(says(looked, 'a replay charges once')).toMatch(/^fail: unknown: the balance fell by/);
    // The balance counts for the bound too.
    expect(posts(emulator)).toHaveLength(2);
  });

  it('goes on no further for a larger bound, because the answer is known', async () => {
    const emulator = await account({ switches: { keyLifetimeMs: 1 } });
    expect((await look(emulator, { maxCredits: 100 })).spent).toBe(2);
  });

  it('does not compare bodies', async () => {
    const emulator = await account();
    const first = new Map<string, string>();
    const baseUrl = await proxy(emulator, (request) => {
      const key = request.headers['idempotency-key'];
      if (key === undefined) return;
      request.body = first.get(key) ?? request.body;
      first.set(key, request.body);
    });
    const looked = await look(emulator, { baseUrl });
    expect(looked).toMatchObject({ status: 0, spent: 1, report: { replayChargesOnce: 'yes', conflict: 'firstTask' } });
    expect(says(looked, 'another body, same key')).toMatch(/^warn: .*does not compare bodies/);
  });

  it('takes more for a task than its list says', async () => {
    const emulator = await account({ faults: [{ on: 'models', do: listing('gpt-image-2', 1) }] });
    const looked = await look(emulator);
    expect(posts(emulator)).toHaveLength(1);
    expect(looked).toMatchObject({ status: 1, spent: 3, report: { replayChargesOnce: 'unknown', atMost: 3 } });
    expect(says(looked, 'create')).toMatch(/^warn: .*MORE than the 1/);
  });
});

/** A list of one image model with a price. */
function listing(id: string, credits: number): Fault['do'] {
  const model = { id, category: 'image', billing_type: 'FIXED', base_credits: credits, api_status: 'available' };
  return { kind: 'reply', status: 200, body: JSON.stringify({ data: [model] }) };
}

describe.concurrent('a lost answer', () => {
  const lost = (skip: number, times = 1): Fault[] => [{ on: 'create', skip, times, do: { kind: 'dropAfter' } }];

  it.each([
    ['to the create is found again by the replay', 0],
    ['to the replay is no second task', 1],
  ])('%s; the balance proves it', async (_, skip) => {
    const looked = await look(await account({ faults: lost(skip) }));
    expect(looked.ledger.paidTasks).toBe(1);
    expect(looked).toMatchObject({ status: 0, spent: 1, report: { replayChargesOnce: 'yes', fell: 1, atMost: 2 } });
    expect(looked.report.tasks).toHaveLength(1);
    expect(says(looked, skip === 0 ? 'create' : 'replay')).toMatch(/^warn: .*may have been paid/);
  });

  it('proves nothing where the balance is not known', async () => {
    const scopes = ALL_SCOPES.filter((scope) => scope !== 'credits:read');
    const looked = await look(await account({ faults: lost(0), keys: [{ key: EMULATOR_API_KEY, scopes }] }));
    expect(looked).toMatchObject({ status: 1, spent: 1, report: { replayChargesOnce: 'unknown', fell: null } });
  });

  it('of an account that forgets keys is never called one charge', async () => {
    const looked = await look(await account({ faults: lost(0), switches: { keyLifetimeMs: 1 } }));
    expect(looked).toMatchObject({ status: 1, spent: 2, report: { replayChargesOnce: 'unknown', fell: 2 } });
    expect(says(looked, 'a replay charges once')).toMatch(/the balance fell by 2/);
  });

  it('proves nothing where the task failed, because a refund hides a charge', async () => {
    const looked = await look(
      await account({
        switches: { keyLifetimeMs: 8_000 },
        faults: [
          { on: 'create', times: 1, do: { kind: 'fail' } },
          { on: 'create', skip: 1, times: 1, do: { kind: 'error', code: 'rate_limited' } },
          // The fifth that the fault above has let through: the replay after the end.
          { on: 'create', skip: 4, times: 1, do: { kind: 'replyAfter', status: 200, body: '{}' } },
        ],
      }),
    );
    expect(looked.ledger.keys[looked.observed.idempotencyKey]?.tasks).toHaveLength(2);
    expect(looked).toMatchObject({ status: 1, report: { replayChargesOnce: 'unknown', fell: 1 } });
  });

  it('to everything leaves key and bytes with which the task is found for nothing', async () => {
    const emulator = await account({ faults: lost(0, 2) });
    const looked = await look(emulator);
    const { idempotencyKey, model, prompt } = looked.observed;
    expect(looked).toMatchObject({ status: 1, spent: 1, report: { replayChargesOnce: 'unknown', tasks: [] } });
    const command = `generate --model ${model} --prompt "${prompt}" --idempotency-key ${idempotencyKey}`;
    expect(says(looked, 'a replay charges once')).toContain(command);
    const { body } = readInput({ model, prompt, idempotencyKey });
    const client = createRivyaClient({ baseUrl: emulator.url, keys: staticKey(emulator.apiKey), env: {} });
    await client.createGeneration({ idempotencyKey, body });
    await client.close();
    expect(await emulator.ledger()).toMatchObject({ paidTasks: 1, keys: { [idempotencyKey]: { bodies: [body] } } });
  });
});

it.concurrent('the key is on the screen before anything can be paid', async () => {
  const emulator = await account();
  const seen: [string, number][] = [];
  const { ledger } = await look(emulator, { say: (line) => seen.push([line, posts(emulator).length]) });
  const [first, posted] = seen[0]!;
  expect(first).toContain(Object.keys(ledger.keys)[0]);
  expect(posted).toBe(0);
});

it.concurrent(
  'whatever goes wrong, two credits at most are spent, and a double charge is never called one',
  async () => {
    const kinds: Fault['do'][] = [
      { kind: 'dropBefore' },
      { kind: 'dropAfter' },
      { kind: 'truncateAfter', bytes: 10 },
      { kind: 'error', code: 'internal_error' },
      { kind: 'errorAfter', code: 'internal_error' },
      { kind: 'error', code: 'rate_limited' },
      { kind: 'error', code: 'idempotency_conflict' },
      { kind: 'replyAfter', status: 502, body: '<html>' },
      { kind: 'replyAfter', status: 200, body: '{}' },
      { kind: 'fail' },
    ];
    const anyFault = fc.record({
      on: fc.constant('create' as const),
      skip: fc.integer({ min: 0, max: 5 }),
      times: fc.integer({ min: 1, max: 2 }),
      do: fc.constantFrom(...kinds),
    });
    const anyAccount = fc.record({
      faults: fc.array(anyFault, { maxLength: 3 }),
      keyLifetimeMs: fc.constantFrom(1, 3_000, 4_000, 8_000, Infinity),
      replay: fc.constantFrom(...SWITCH_VALUES.replay),
      storeRefusals: fc.boolean(),
      balanceHidden: fc.boolean(),
    });
    // One emulator for all runs; its clock only moves on.
    const emulator = await account({ credits: 1_000_000 });
    await fc.assert(
      fc.asyncProperty(anyAccount, async ({ faults, balanceHidden, ...switches }) => {
        emulator.reset();
        const scopes = ALL_SCOPES.filter((scope) => !balanceHidden || scope !== 'credits:read');
        emulator.setKeys([{ key: EMULATOR_API_KEY, scopes }]);
        emulator.setFaults(faults);
        emulator.setSwitches(switches);
        const { observed, report, status, ledger, spent } = await look(emulator, { waitMs: 200 });
        const charged = Object.values(ledger.keys).reduce((total, key) => total + key.charged, 0);
        expect(charged).toBeLessThanOrEqual(2);
        expect(spent).toBeLessThanOrEqual(report.atMost);
        expect(report.atMost).toBeGreaterThanOrEqual(charged);
        const made = ledger.keys[observed.idempotencyKey]?.tasks.length ?? 0;
        // A task of the other body, answered or not, is no replay's.
        const ofOtherBody = report.conflict === 'secondTask' || report.conflict === 'unknown' ? 1 : 0;
        if (report.replayChargesOnce === 'yes') expect(made).toBeLessThanOrEqual(1 + ofOtherBody);
        if (made > 1) expect(status).toBe(1);
      }),
      { numRuns: 60 },
    );
  },
  // About a thousand requests one after the other.
  180_000,
);

describe.concurrent('what is refused costs nothing', () => {
  it('without credits: one POST, status 2', async () => {
    const emulator = await account({ credits: 0 });
    const looked = await look(emulator);
    expect(looked).toMatchObject({ status: 2, spent: 0, report: { replayChargesOnce: 'unknown', atMost: 0 } });
    expect(says(looked, 'create')).toMatch(/^fail: .*insufficient_credits.*cost nothing.*Add credits/);
    expect(posts(emulator)).toHaveLength(1);
  });

  it('while the API is off or too busy: status 3', async () => {
    for (const code of ['public_api_disabled', 'rate_limited'] as const) {
      const emulator = await account({ faults: [{ on: 'create', do: { kind: 'error', code } }] });
      expect(await look(emulator)).toMatchObject({ status: 3, spent: 0 });
      expect(posts(emulator)).toHaveLength(1);
    }
  });

  it('with a wrong key: no POST', async () => {
    const emulator = await account();
    await expect(look(emulator, { apiKey: 'rvya_sk_other' })).rejects.toMatchObject({ code: 'api_key_invalid' });
    expect(posts(emulator)).toEqual([]);
  });

  it.each<[Scope, object]>([
    ['generations:create', { status: 2, spent: 0, report: { replayChargesOnce: 'unknown' } }],
    ['generations:read', { status: 0, spent: 1, report: { replayChargesOnce: 'yes', fell: 1 } }],
    ['credits:read', { status: 0, spent: 1, report: { replayChargesOnce: 'yes', fell: null, conflictCost: null } }],
  ])('without the scope %s the rest is found out', async (missing, expected) => {
    const scopes = ALL_SCOPES.filter((scope) => scope !== missing);
    expect(await look(await account({ keys: [{ key: EMULATOR_API_KEY, scopes }] }))).toMatchObject(expected);
  });

  it('where only dear models are there: no POST, unless it is allowed', async () => {
    const emulator = await account({ faults: [{ on: 'models', do: listing('gpt-image-2', 3) }] });
    await expect(look(emulator)).rejects.toThrow(/gpt-image-2, costs 3 credits.*--max-credits 6/);
    expect(posts(emulator)).toEqual([]);
    expect((await look(emulator, { maxCredits: 6 })).spent).toBe(3);
  });
});

it.concurrent('Ctrl-C during the wait ends with 130, posts nothing more, and says how to go on', async () => {
  const emulator = await account({ faults: [{ on: 'create', do: { kind: 'stuck' } }] });
  const controller = new AbortController();
  const looked = await look(emulator, {
    interrupted: controller.signal,
    say: (line) => line.endsWith(': processing') && controller.abort(),
  });
  expect(looked.status).toBe(130);
  expect(says(looked, 'task')).toContain('--task-id');
  // Create, replay, other body, invalid body twice.
  expect(posts(emulator)).toHaveLength(5);
});

it.concurrent(
  'without a key, or with a record that cannot be written, or a bound that is too low, nothing is posted',
  async () => {
    const emulator = await account();
    const key = { RIVYA_API_KEY: emulator.apiKey };
    const file = path.join(directory, 'taken');
    writeFileSync(file, 'mine');
    const interrupted = new AbortController().signal;
    const cases: [LiveOptions, NodeJS.ProcessEnv, RegExp][] = [
      [{}, {}, /no API key/],
      [{ record: path.join(directory, 'no', 'such', 'file') }, key, /cannot be written/],
      [{ record: file }, key, /exists/],
      [{ maxCredits: 1 }, key, /--max-credits 2/],
    ];
    for (const [options, settings, message] of cases) {
      const env = { RIVYA_BASE_URL: emulator.url, ...settings };
      const answer = doctorLive({ yes: true, ...options }, { env, interrupted, tell: () => undefined });
      await expect(answer).rejects.toThrow(message);
      await expect(answer).rejects.toThrow(UsageError);
    }
    expect(posts(emulator)).toEqual([]);
    // Also where it has come into being since.
    expect(() => writeRecording(file, [])).toThrow(/EEXIST/);
    expect(readFileSync(file, 'utf8')).toBe('mine');
  },
);

describe.concurrent('consent', () => {
  const settings = (emulator: Emulator) => ({ RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey });

  it('is asked for with address, key fingerprint, model and price; a no posts nothing and does not use the key', async () => {
    const emulator = await account();
    const told: string[] = [];
    const answer = doctorLive(
      {},
      {
        env: settings(emulator),
        interrupted: new AbortController().signal,
        tell: (line) => told.push(line),
        confirm: () => Promise.resolve(false),
      },
    );
    await expect(answer).rejects.toThrow(UsageError);
    const fingerprint = new Secret(emulator.apiKey).fingerprint();
    for (const fact of [emulator.url, fingerprint, 'z-image', 'never more than 2'])
      expect(told.join('\n')).toContain(fact);
    expect(told.join('\n')).not.toContain(emulator.apiKey);
    expect(emulator.requests().map(({ path: asked }) => asked)).toEqual(['/api/v1/models']);
  });

  it.each([
    ['y\n', true],
    ['Yes\n', true],
    ['\n', false],
    ['n\n', false],
    ['yo\n', false],
    ['', false],
  ])('%j on the terminal means %s', async (typed, agreed) => {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const answer = confirmSpending('? ', '', new AbortController().signal, { input, output: new PassThrough() });
    input.end(typed);
    expect(await answer).toBe(agreed);
  });

  it('is not given by Ctrl-C, and not where nobody can be asked', async () => {
    const terminal = { input: Object.assign(new PassThrough(), { isTTY: true }), output: new PassThrough() };
    expect(await confirmSpending('? ', '', AbortSignal.abort(), terminal)).toBe(false);
    const pipe = { input: new PassThrough(), output: new PassThrough() };
    await expect(confirmSpending('? ', 'Give --yes.', new AbortController().signal, pipe)).rejects.toThrow(/--yes/);
  });
});

function exchange(fields: Partial<NamedExchange>): NamedExchange {
  return {
    step: 's',
    method: 'GET',
    path: '/p',
    httpStatus: 200,
    requestId: null,
    durationMs: 1,
    idempotencyKey: null,
    requestBody: null,
    headers: {},
    body: null,
    sentAt: START,
    ...fields,
  };
}

describe.concurrent('a record', () => {
  const SIGNED = 'https://u:p@cdn.example/a.png?X-Signature=abc123#f';
  it('keeps neither keys, cookies, signatures and names nor absolute balances', () => {
    const task = { result: { primary_url: SIGNED, urls: [SIGNED] }, account_id: 'acct_1', owner: { name: 'Ada' } };
    const error = { error: { code: 'x', message: 'Ask ada@example.org', requestId: 'req_1' } };
    const headers = {
      'set-cookie': 'sid=cookie1',
      authorization: 'x',
      server: 'nginx-secret',
      'x-request-id': 'req_1',
      'x-ratelimit-limit': '60',
      'ratelimit-policy': '"acct_1";q=60',
      'retry-after': '5',
    };
    const { exchanges } = record([
      exchange({ headers, body: JSON.stringify(task) }),
      exchange({ body: '{"current_credits":777}' }),
      exchange({ body: '{"current_credits":776}' }),
      exchange({ httpStatus: 409, body: JSON.stringify(error) }),
      exchange({ httpStatus: 502, body: '<html>secret page</html>' }),
    ]);
    const text = JSON.stringify(exchanges);
    for (const secret of ['abc123', 'u:p', 'acct_1', 'Ada', 'ada@', 'cookie1', 'nginx', '777', '776', 'page']) {
      expect(text).not.toContain(secret);
    }
    const [link, before, after, refusal, page] = exchanges.map(({ body }) => body);
    expect(link).toMatchObject({ result: { urls: ['https://cdn.example/a.png?redacted'] } });
    expect([before, after]).toEqual([{ current_credits: 100 }, { current_credits: 99 }]);
    expect(refusal).toMatchObject({ error: { code: 'x', requestId: 'req_1' } });
    expect(page).toBeNull();
    expect(exchanges[0]).toMatchObject({
      headers: { 'x-request-id': 'req_1', 'x-ratelimit-limit': '60', 'retry-after': '5' },
      otherHeaders: ['authorization', 'server', 'set-cookie'],
    });
  });
});

describe.concurrent('headers', () => {
  const reply = (headers: Record<string, string>, body: string | null = null, sentAt = START): NamedExchange =>
    exchange({ headers, body, sentAt, durationMs: 100 });

  it('the request ID is where the error bodies have it, else in the header with the usual name', () => {
    const error = '{"error":{"code":"x","requestId":"req_1"}}';
    expect(readHeaders([reply({ 'cf-ray': 'req_1', 'x-request-id': 'other' }, error)]).requestId).toBe('cf-ray');
    expect(readHeaders([reply({ 'x-request-id': 'req_1' })]).requestId).toBe('x-request-id');
    expect(readHeaders([reply({ server: 'x' }, error)]).requestId).toBeNull();
  });

  it('of the rate limit are shown where they are numbers', () => {
    const { rateLimit, names } = readHeaders([
      reply({
        'x-ratelimit-remaining': '59',
        ratelimit: 'limit=60, remaining=59',
        'retry-after': 'Sun, 10 May 2026 00:00:00 GMT',
      }),
      reply({ 'x-ratelimit-remaining': '58', 'ratelimit-policy': 'acct_1' }),
    ]);
    expect(rateLimit).toEqual({
      'x-ratelimit-remaining': '58',
      ratelimit: 'limit=60, remaining=59',
      'retry-after': 'Sun, 10 May 2026 00:00:00 GMT',
      'ratelimit-policy': '[redacted]',
    });
    expect(names).toContain('ratelimit-policy');
  });

  it('the clock: 0 wherever the whole seconds of Date allow it, else the offset', () => {
    const at = (offset: number) => (sentAt: number) =>
      reply({ date: new Date(sentAt + 50 + offset).toUTCString() }, null, sentAt);
    fc.assert(
      fc.property(
        fc.integer({ min: -7_200_000, max: 7_200_000 }),
        fc.array(fc.integer({ min: START, max: START + 100_000 }), { minLength: 1 }),
        (offset, times) => {
          expect(Math.abs(clockOffset(times.map(at(offset)))! - offset)).toBeLessThan(2_000);
        },
      ),
    );
    expect(clockOffset([START, START + 400, START + 999].map(at(0)))).toBe(0);
    expect(clockOffset([reply({})])).toBeNull();
  });
});
