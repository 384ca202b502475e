// Keeps histories for the replay tests (test/replay): node scripts/record-history.mjs [name...]
// Runs the named scenarios below, or all of those that are not kept yet, on a Temporal server of its own. The name is the
// Workflow ID, which is part of the idempotency key, and the file name. A kept history is never recorded again: a new shape
// of the code gets a scenario with a new name.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { bundleWorkflowCode, DefaultLogger, Runtime } from '@temporalio/worker';
import { BatchFiles } from '../dist/src/batch/files.js';
import { readSettings } from '../dist/src/config.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { identityOf, readInput } from '../dist/src/policy/index.js';
import { connectClient, connectWorker } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { startWorkers } from '../dist/src/worker/workers.js';

const logger = new DefaultLogger('WARN');
Runtime.install({ logger, shutdownSignals: [] });

const LIMIT_MS = 120_000;
const image = { model: 'z-image', prompt: 'a heron' };
const chatRequest = { model: 'gemini-2-5-flash-chat', message: 'A prompt for an image of a heron' };
const error = (code) => ({ kind: 'error', code });
const held = { idempotencyWindow: '1s' };

/** Each: what is run (default: generateMedia with an image), the faults of the API, and what a person does meanwhile. */
const SCENARIOS = {
  'plain-image': {},
  'plain-video': { args: [{ model: 'veo3-1-lite', prompt: 'a heron' }] },
  'lost-reply': { faults: [{ on: 'create', times: 1, do: { kind: 'dropAfter' } }] },
  refused: { faults: [{ on: 'create', do: error('validation_failed') }] },
  'failed-task': { faults: [{ on: 'create', do: { kind: 'fail' } }] },
  'second-attempt': {
    args: [{ ...image, options: { maxAttempts: 2 } }],
    faults: [{ on: 'create', times: 1, do: { kind: 'fail' } }],
  },
  'deadline-passed': {
    args: [{ ...image, options: { deadline: '1s' } }],
    faults: [{ on: 'create', do: { kind: 'stuck' } }],
  },
  'not-found-at-first': { faults: [{ on: 'status', times: 1, do: error('not_found') }] },
  'deadline-changed': {
    args: [{ ...image, options: { deadline: '1h' } }],
    faults: [{ on: 'create', do: { kind: 'stuck' } }],
    story: (run) => run.phase('waiting').then(() => run.signal('changeDeadline', { deadline: '1s' })),
  },
  'check-now': { args: [{ model: 'veo3-1-lite', prompt: 'a heron' }], story: (run) => run.signal('checkNow') },
  cancelled: {
    faults: [{ on: 'create', do: { kind: 'stuck' } }],
    story: (run) => run.phase('waiting').then(run.cancel),
  },
  'held-and-resumed': {
    faults: [{ on: 'create', times: 1, do: error('insufficient_credits') }],
    story: (run) => run.phase('held').then(() => run.resume({})),
  },
  'held-at-a-check': {
    faults: [{ on: 'status', times: 1, do: error('api_scope_denied') }],
    story: (run) => run.phase('held').then(() => run.resume({})),
  },
  'unresolved-then-found': {
    args: [{ ...image, options: held }],
    faults: [{ on: 'create', do: { kind: 'dropAfter' } }],
    story: async (run) => {
      await run.phase('held');
      const { keys } = await run.ledger();
      await run.resume({ taskId: 'task_mistyped' });
      await sleep(3_000);
      await run.resume({ taskId: Object.values(keys)[0].tasks[0] });
    },
  },
  'risk-accepted': {
    args: [{ ...image, options: held }],
    faults: [{ on: 'create', times: 1, do: { kind: 'dropAfter' } }],
    story: (run) => run.phase('held').then(() => run.resume({ reason: 'the Studio shows nothing' })),
  },
  'result-unavailable': {
    faults: [{ on: 'media', times: 2, do: { kind: 'reply', status: 403, body: '' } }],
    story: (run) => run.phase('held').then(() => run.resume({})),
  },
  'dead-links': { faults: [{ on: 'media', times: 3, do: { kind: 'reply', status: 404, body: '' } }] },
  'stored-as-it-is': {
    faults: [{ on: 'media', do: { kind: 'reply', status: 200, body: '{"words":[]}' } }],
    story: (run) => run.phase('held').then(() => run.resume({ storeAsIs: true })),
  },
  'with-references': {
    args: [{ model: 'gpt-image-2', prompt: 'a heron', references: [{ path: '$root/heron.png', kind: 'image' }] }],
  },
  'own-key': { args: [{ ...image, idempotencyKey: 'order/4711' }] },
  'named-task': { story: (run) => run.result(), again: (result) => [{ model: 'z-image', taskId: result.taskId }] },
  'started-again': {
    args: [{ model: 'veo3-1-lite', prompt: 'a heron' }],
    story: async (run) => {
      await run.phase('waiting');
      await run.terminate();
      await run.start();
    },
  },
  'further-key-number': {
    args: [{ ...image, options: { maxAttempts: 2 } }],
    faults: [
      { on: 'create', times: 1, do: { kind: 'fail' } },
      { on: 'create', times: 2, do: { kind: 'dropAfter' } },
    ],
    // The second attempt has no answer yet, so the next run goes on at key number 2.
    story: async (run) => {
      while (Object.keys((await run.ledger()).keys).length < 2) await sleep(100);
      await run.terminate();
      await run.start();
    },
  },
  'chat-answered': { type: 'rivyaChat', args: [chatRequest] },
  'chat-held': {
    type: 'rivyaChat',
    args: [chatRequest],
    faults: [{ on: 'chat', times: 1, do: error('insufficient_credits') }],
    story: (run) => run.phase('held').then(() => run.resume({})),
  },
  'two-steps': { type: 'twoSteps', args: [image, { ...image, prompt: 'two herons' }] },
  'chat-and-image': { type: 'promptedImage', args: [chatRequest, { model: 'z-image' }] },
  'all-of-three': { type: 'allOf', args: [[1, 2, 3].map((n) => ({ ...image, step: `shot ${n}` }))] },
  'stored-results': {
    type: 'allOf',
    args: [[1, 2].map((n) => ({ ...image, step: `shot ${n}` }))],
    story: async (run) => {
      await run.result();
      await run.start();
    },
  },
  'attached-to-a-running-child': {
    type: 'oneStep',
    args: [{ model: 'veo3-1-lite', prompt: 'a heron' }],
    story: async (run) => {
      await sleep(4_000);
      await run.terminate();
      await run.start();
    },
  },
  // On a server that asks for a new run after a few checks: the first run, and the last one.
  'continues-as-new': { continues: true, args: [{ model: 'z-image', prompt: 'slow' }], keepFirst: true },
  continued: { continues: true, args: [{ model: 'z-image', prompt: 'slow' }] },
  // With search attributes, which the servers of the scenarios above did not have.
  listed: {},
  'listed-held': {
    faults: [{ on: 'create', times: 1, do: error('insufficient_credits') }],
    story: (run) => run.phase('held').then(() => run.resume({})),
  },
  'listed-failed': { faults: [{ on: 'create', do: { kind: 'fail' } }] },
  'listed-continued': { continues: true, args: [{ model: 'z-image', prompt: 'slow' }] },
  'links-only': { store: false },
  batch: { batch: { items: 8, settings: {} } },
  'batch-steered': {
    batch: { items: 6, settings: { maxInFlight: 2, maxCredits: 2 } },
    story: async (run) => {
      while ((await run.query('batch')).phase !== 'held') await sleep(100);
      await run.update('setMaxCredits', { maxCredits: null });
      await run.update('pause', null);
      await run.update('skipItem', { itemId: 'i6' });
      await run.signal('resume');
    },
  },
  'batch-limits-changed': {
    batch: { items: 6, settings: { maxInFlight: 2, maxCredits: 2 } },
    story: async (run) => {
      while ((await run.query('batch')).phase !== 'held') await sleep(100);
      await run.update('setMaxInFlight', { maxInFlight: 3 });
      await run.update('setMaxCredits', { maxCredits: 1_000 });
      await run.signal('resume');
    },
  },
  // Checked when tasks like it have ended, and past that by the fixed schedule.
  planned: { learn: 8, args: [{ model: 'veo3-1-lite', prompt: 'a heron' }] },
  'planned-and-late': { learn: 8, args: [{ model: 'veo3-1-lite', prompt: 'a heron [[duration:40s]]' }] },
  'account-steered': {
    type: 'rivyaAccount',
    args: [{ taskQueue: 'rivya' }],
    story: async (run) => {
      const until = async (fits) => {
        while (!fits(await run.query('account'))) await sleep(100);
      };
      const report = (more) =>
        run.signal('report', { identity: 'worker-1', fingerprint: 'a', perMinute: 600, ...more });
      await until(({ look }) => look !== null);
      await report({ rateLimited: { count: 1, retryAfterMs: 2_000, callsBefore: 600 } });
      await until(({ rate }) => rate.set === 300 && rate.closedUntil === null);
      // The key of these Workers is good, so the first probe ends it.
      await report({ refused: [{ code: 'api_key_revoked', message: 'This key was revoked.', requestId: 'req_1' }] });
      await until(({ causes }) => causes.length === 1);
      await until(({ causes }) => causes.length === 0);
      await run.update('stopSubmits', { reason: 'too dear' });
      await run.update('allowSubmits', null);
      await run.update('setRate', { perMinute: 120 });
      await run.update('refresh', null);
      await run.terminate();
    },
  },
  read: { type: 'rivyaRead', args: [{ what: 'credits' }] },
  estimated: { type: 'estimate', args: [[{ ...image, step: 'one' }], 'rivya'] },
};

const directory = fileURLToPath(new URL('../test/histories/', import.meta.url));
const list = fileURLToPath(new URL('../test/replay/kept.json', import.meta.url));
const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(SCENARIOS, name));
if (unknown.length > 0)
  throw new Error(`No such scenario: ${unknown.join(', ')}. There are ${Object.keys(SCENARIOS).join(', ')}.`);
const isKept = (name) => existsSync(path.join(directory, `${name}.json`));
const wanted = names.length > 0 ? names : Object.keys(SCENARIOS).filter((name) => !isKept(name));
for (const name of wanted)
  if (isKept(name)) throw new Error(`${name}.json is kept already. Record the new shape under another name.`);

mkdirSync(directory, { recursive: true });
const place = mkdtempSync(path.join(tmpdir(), 'rivya-record-'));
writeFileSync(path.join(place, 'heron.png'), readFileSync(new URL('../docs/timeline.png', import.meta.url)));
const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('../test/support/workflows.ts', import.meta.url)),
  logger,
});
const codePath = path.join(place, 'bundle.js');
writeFileSync(codePath, code);
const namespace = 'default';
const servers = new Map();

/** A Temporal server; `continues` has it suggest continue-as-new early. */
async function serverFor(continues) {
  if (!servers.has(continues)) {
    const dynamicConfig = continues ? { 'limit.historyCount.suggestContinueAsNew': '25' } : {};
    const server = await startDevServer({ log: (line) => console.error(line), ui: false, port: 0, dynamicConfig });
    const { client } = await connectClient(server.address);
    servers.set(continues, { server, client, ...(await connectWorker(server.address)) });
  }
  return servers.get(continues);
}

/** Runs one scenario with an emulator and Workers of its own, and keeps the history of its last run. */
async function record(name, scenario) {
  const { batch, faults = [], story, again, continues = false, keepFirst, learn = 0 } = scenario;
  const { type = batch ? 'rivyaBatch' : 'generateMedia' } = scenario;
  const { store = type !== 'allOf' } = scenario;
  const { client, connection } = await serverFor(continues);
  const emulator = await startEmulator({ durations: { image: continues ? 14_000 : 800, video: 8_000 }, faults });
  const settings = readSettings({
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
    RIVYA_STORE: store ? `file:${path.join(place, name)}` : '',
    RIVYA_REFERENCE_ROOTS: place,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
  });
  const { args = batch ? [await batchInput(settings.store, name, batch)] : [image] } = scenario;
  const workflows = { workflowBundle: { codePath } };
  const workers = await startWorkers(settings, { connection, namespace, workflows, account: false });
  const handle = client.workflow.getHandle(name);
  const input = JSON.parse(JSON.stringify(args).replaceAll('$root', place));
  const start = (started = input) =>
    client.workflow.start(type, { workflowId: name, taskQueue: 'rivya', args: started });
  const memo = async () => (await handle.describe()).memo?.rivya;
  const run = {
    start,
    result: () => handle.result(),
    ledger: () => emulator.ledger(),
    signal: (signal, ...given) => sleep(1_000).then(() => handle.signal(signal, ...given)),
    cancel: () => handle.cancel(),
    terminate: () => handle.terminate('scenario'),
    resume: (request) => handle.executeUpdate('resume', { args: [request] }),
    update: (update, argument) => handle.executeUpdate(update, { args: [argument] }),
    query: (query) => handle.query(query),
    phase: async (phase) => {
      while ((await memo())?.phase !== phase) await sleep(100);
    },
  };
  const teach = (_, n) =>
    client.workflow.execute(type, {
      workflowId: `${name}-before-${n}`,
      taskQueue: 'rivya',
      args: [{ ...input[0], prompt: `${n}` }],
    });
  await Promise.all(Array.from({ length: learn }, teach));
  const { firstExecutionRunId } = await start();
  const told = await story?.(run);
  if (again !== undefined) await start(again(told));
  await handle.result().catch(() => undefined);
  const kept = keepFirst ? client.workflow.getHandle(name, firstExecutionRunId) : handle;
  keep(name, historyToJSON(await kept.fetchHistory()));
  await workers.stop();
  await emulator.close();
  console.error(`${name}: kept`);
}

/** The input of a batch of so many images, whose manifest is written into the store. */
async function batchInput(store, batchId, { items, settings }) {
  async function* source() {
    for (let n = 1; n <= items; n++) {
      const input = { model: 'z-image', prompt: `a heron, ${n}` };
      const { digest } = identityOf(readInput(input));
      const [id, workflowId] = [`i${n}`, `${batchId}/i${n}`];
      yield { id, variant: 1, workflowId, input, digest, priceClass: 0, carried: {} };
    }
  }
  const classes = [{ model: 'z-image', items, estimate: 1 }];
  const about = { classes, columns: [], source: null, api: 'emulator' };
  const { sha256: manifest } = await new BatchFiles(store, batchId).writeManifest(source, about);
  return { manifest, settings };
}

function keep(name, history) {
  // Names of machines and paths say nothing to a replay.
  const neutral = { identity: 'recorder', stackTrace: '' };
  const clean = JSON.parse(history, (key, value) => (key in neutral ? neutral[key] : value));
  const text = `${JSON.stringify(clean, null, 1)}\n`;
  writeFileSync(path.join(directory, `${name}.json`), text);
  // A test compares with this list, so that none is recorded anew or lost without a word.
  const kept = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : {};
  kept[`${name}.json`] = createHash('sha256').update(text).digest('hex');
  const sorted = Object.fromEntries(Object.entries(kept).toSorted(([a], [b]) => a.localeCompare(b)));
  writeFileSync(list, `${JSON.stringify(sorted, null, 2)}\n`);
}

// A scenario that does not end is wrong.
const limit = (name) => {
  throw new Error(`${name} has not ended within ${LIMIT_MS / 1_000} s.`);
};
for (const name of wanted) {
  const timer = setTimeout(limit, LIMIT_MS, name);
  await record(name, SCENARIOS[name]);
  clearTimeout(timer);
}
for (const { server, client, connection } of servers.values()) {
  await client.connection.close();
  await connection.close();
  await server.stop();
}
rmSync(place, { recursive: true });
process.exit(0);
