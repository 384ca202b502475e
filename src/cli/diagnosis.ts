import { hostname } from 'node:os';
import { readSettings, type Settings } from '../config.js';
import { formatDuration } from '../policy/index.js';
import { noWorkerOn, servedQueues } from '../temporal/pollers.js';
import { hasAttributes } from '../temporal/search-attributes.js';
import { findStore, localSession, openApi, openTemporal, retentionDays, type Temporal } from './context.js';
import { judge, STATUS, withAction } from './errors.js';

export interface Finding {
  readonly name: string;
  readonly level: 'ok' | 'warn' | 'fail';
  /** What was found, and what to do. */
  readonly says: string;
  /** Exit status that a failure asks for. */
  readonly status?: number;
}

const NODE = [20, 19] as const;
// Above it the age of a task, and with it the time of the next check, is visibly off.
const CLOCK_SKEW_MS = 30_000;

// What is run again later than that has been forgotten by Temporal, unless a store keeps receipts.
const ENOUGH_DAYS = 7;

const WORK = { workflows: 'Workflows', results: 'results', api: 'API calls' } as const;

/** Looks at everything that a generation needs, one finding at a time. */
export async function* diagnose(): AsyncGenerator<Finding> {
  yield node();
  let settings: Settings;
  try {
    settings = readSettings();
    yield ok('settings', 'read');
    yield ok('spending policy', settings.policy?.source ?? 'none here: inputs may ask for any model at any price');
  } catch (error) {
    yield failed('settings', error);
    return;
  }
  let temporal: Temporal | null = null;
  try {
    temporal = await openTemporal(settings);
    const { serverVersion } = await temporal.client.workflowService.getSystemInfo({});
    yield ok('Temporal', `${temporal.address}, version ${serverVersion ?? 'unknown'}`);
  } catch (error) {
    yield failed('Temporal', error);
  }
  if (temporal !== null) yield* namespaceAndWorkers(temporal, settings);
  yield* theApi(settings);
  yield await store(settings);
}

/** Whether this machine's Workers of the configured roles poll. */
export async function* workerHealth(): AsyncGenerator<Finding> {
  const settings = readSettings();
  const temporal = await openTemporal(settings);
  for (const { role, queue, pollers } of await servedQueues(temporal.client, temporal.taskQueue)) {
    if (!settings.roles.has(role)) continue;
    const polls = pollers.some((identity) => identity.endsWith(`@${hostname()}`));
    yield polls
      ? ok(WORK[role], `polls ${queue}`)
      : { name: WORK[role], level: 'fail', says: `no Worker of ${hostname()} polls task queue "${queue}"` };
  }
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const enough = major > NODE[0] || (major === NODE[0] && minor >= NODE[1]);
  if (enough) return ok('Node', process.versions.node);
  const says = `${process.versions.node}; install ${NODE.join('.')} or newer`;
  return { name: 'Node', level: 'fail', says, status: STATUS.usage };
}

async function* namespaceAndWorkers(temporal: Temporal, settings: Settings): AsyncGenerator<Finding> {
  const { client, namespace, taskQueue } = temporal;
  try {
    const queues = await servedQueues(client, taskQueue);
    const days = await retentionDays(temporal);
    yield ok('namespace', `${namespace}, keeps closed Workflows for ${days ?? 'an unknown number of'} days`);
    const memory = await forgetsEarly(temporal, settings);
    if (memory !== null) yield warn('memory', memory);
    const listed = await hasAttributes(client);
    const none = 'missing or of another type: the list of the UI and --query cannot filter. Run: rivya-temporal setup';
    if (listed !== undefined) yield listed ? ok('search attributes', 'registered') : warn('search attributes', none);
    for (const served of queues) {
      const { role, queue, pollers } = served;
      const name = `Workers for ${WORK[role]}`;
      yield pollers.length > 0
        ? ok(name, `${pollers.length} on task queue "${queue}"`)
        : warn(name, noWorkerOn(served));
    }
  } catch (error) {
    yield failed('namespace', error);
    return;
  }
  const silent =
    'the Service does not tell; fairness keys need matching.enableFairness=true in its dynamic config and are ignored without it';
  yield ok('fairness', (await localSession()) === null ? silent : 'on');
}

/** Without a store, what Temporal has forgotten may be paid again; null where that is far away. */
export async function forgetsEarly(temporal: Temporal, settings: Settings): Promise<string | null> {
  const days = await retentionDays(temporal);
  if (days === null || days >= ENOUGH_DAYS || (await findStore(settings)) !== null) return null;
  return `there is no store here, and the namespace keeps closed Workflows for ${days} day(s) only: a step is remembered only that long, and may be paid again when it is run again later. Set RIVYA_STORE, or keep them for ${ENOUGH_DAYS} days or more`;
}

async function* theApi(settings: Settings): AsyncGenerator<Finding> {
  let serverTime: number | null = null;
  try {
    const { api, baseUrl, ofDev } = await openApi();
    const models = await api.listModels();
    serverTime = models.serverTime;
    yield ok('API', `${baseUrl}${models.simulated ? ' (emulator)' : ''}, ${models.models.length} models`);
    if (settings.keys === null && !models.simulated) {
      yield ok('API key', 'none here, which is fine for a machine that runs no Worker with the api role');
    } else {
      const { currentCredits } = await api.getCredits();
      const whose = ofDev ? '; that of the emulator of "dev", as none is set here' : '';
      yield currentCredits === 0
        ? warn('API key', 'works, but the account has no credits; add some')
        : ok('API key', `works, ${currentCredits ?? 'an unknown number of'} credits${whose}`);
    }
  } catch (error) {
    yield failed(serverTime === null ? 'API' : 'API key', error);
  }
  if (serverTime === null) return;
  // The Date header has whole seconds.
  const skew = Math.abs(Date.now() - serverTime);
  yield skew > CLOCK_SKEW_MS
    ? warn('clock', `${formatDuration(skew)} away from the API's; set this machine's clock (NTP)`)
    : ok('clock', "agrees with the API's");
}

async function store(settings: Settings): Promise<Finding> {
  const found = await findStore(settings);
  const none =
    'none here: on a Worker of these settings results stay links, which expire. Set RIVYA_STORE to keep files';
  if (found === null) return ok('store', none);
  try {
    await found.store.probe();
    const whose = found.ofDev ? '; that of "dev", as none is set here' : '';
    return ok('store', `${found.store.address} can be written${whose}`);
  } catch (error) {
    return { ...failed('store', error), status: STATUS.usage };
  }
}

function ok(name: string, says: string): Finding {
  return { name, level: 'ok', says };
}

function warn(name: string, says: string): Finding {
  return { name, level: 'warn', says };
}

function failed(name: string, error: unknown): Finding {
  const { message, action, status } = judge(error);
  return { name, level: 'fail', says: withAction(message, action), status };
}
