import { hostname } from 'node:os';
import { readSettings, type Settings } from '../config.js';
import { formatDuration } from '../policy/index.js';
import { noWorkerOn, servedQueues } from '../temporal/pollers.js';
import { hasAttributes } from '../temporal/search-attributes.js';
import { accountFindings } from './account-findings.js';
import { lookAtAccount } from './account-handle.js';
import { findStore, localSession, openTemporal, retentionDays, type Temporal } from './context.js';
import { judge, STATUS } from './errors.js';
import { fail, ok, warn, type Finding } from './findings.js';
import { openReads } from './read.js';

// Above it the age of a task, and with it the time of the next check, is visibly off.
const CLOCK_SKEW_MS = 30_000;
// Without a store, Temporal alone remembers what was paid, and only for so long after the end.
const ENOUGH_DAYS = 7;

const WORK = { workflows: 'Workflows', results: 'results', api: 'API calls' } as const;

/** The findings of `doctor`: all that a generation needs. */
export async function* diagnose(): AsyncGenerator<Finding> {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const isRecent = major > 20 || (major === 20 && minor >= 19);
  yield isRecent ? ok('Node', node) : fail('Node', `${node}; install 20.19 or newer`, STATUS.usage);
  let settings: Settings;
  try {
    settings = readSettings();
    yield ok('settings', 'read');
    yield ok('spending policy', settings.policy?.source ?? 'none here: inputs may ask for any model at any price');
  } catch (error) {
    yield failed('settings', error);
    return;
  }
  yield* temporalAndWorkers(settings);
  yield* theApi(settings);
  yield await storeFinding(settings);
}

/** The findings of `doctor --worker`: whether the Workers of this machine poll, for each configured role. */
export async function* workerHealth(): AsyncGenerator<Finding> {
  const settings = readSettings();
  const temporal = await openTemporal(settings);
  for (const { role, queue, pollers } of await servedQueues(temporal.client, temporal.taskQueue)) {
    if (!settings.roles.has(role)) continue;
    const polls = pollers.some((identity) => identity.endsWith(`@${hostname()}`));
    const none = `no Worker of ${hostname()} polls task queue "${queue}"`;
    yield polls ? ok(WORK[role], `polls ${queue}`) : fail(WORK[role], none);
  }
}

async function* temporalAndWorkers(settings: Settings): AsyncGenerator<Finding> {
  let checked = 'Temporal';
  try {
    const temporal = await openTemporal(settings);
    const { client, namespace, taskQueue } = temporal;
    const { serverVersion } = await client.workflowService.getSystemInfo({});
    yield ok('Temporal', `${temporal.address}, version ${serverVersion ?? 'unknown'}`);
    checked = 'namespace';
    const queues = await servedQueues(client, taskQueue);
    const days = await retentionDays(temporal);
    yield ok('namespace', `${namespace}, keeps closed Workflows for ${days ?? 'an unknown number of'} days`);
    const memory = await forgetsEarly(temporal, settings);
    if (memory !== null) yield warn('memory', memory);
    const listed = await hasAttributes(client);
    const none =
      'missing or of another type: the list of the UI and --query cannot filter, and what is held by credits or key is only tried again every 30 to 60 min. Run: rivya-temporal setup';
    if (listed !== undefined) yield listed ? ok('search attributes', 'registered') : warn('search attributes', none);
    for (const served of queues) {
      const { length } = served.pollers;
      const name = `Workers for ${WORK[served.role]}`;
      yield length === 0 ? warn(name, noWorkerOn(served)) : ok(name, `${length} on task queue "${served.queue}"`);
    }
    yield* accountFindings(await lookAtAccount(temporal), temporal.taskQueue);
    const unknown =
      'unknown: fairness keys need matching.enableFairness=true in the dynamic config of the Service, and are ignored without it';
    yield ok('fairness', (await localSession()) === null ? unknown : 'on');
  } catch (error) {
    yield failed(checked, error);
  }
}

/** Warns where there is no store and Temporal forgets early: what it has forgotten may be paid again. Null elsewhere. */
export async function forgetsEarly(temporal: Temporal, settings: Settings): Promise<string | null> {
  const days = await retentionDays(temporal);
  if (days === null || days >= ENOUGH_DAYS || (await findStore(settings)) !== null) return null;
  return `there is no store here, and the namespace keeps closed Workflows for ${days} day(s) only: a step is remembered only that long, and may be paid again when it is run again later. Set RIVYA_STORE, or keep them for ${ENOUGH_DAYS} days or more`;
}

async function* theApi(settings: Settings): AsyncGenerator<Finding> {
  let checked = 'API';
  try {
    const { api, baseUrl, ofDev, getCredits } = await openReads(process.env, () => undefined);
    // Without the key, so it counts for no limit: whether this machine reaches the API, and its clock.
    const { models, simulated, serverTime } = await api.listModels();
    yield ok('API', `${baseUrl}${simulated ? ' (emulator)' : ''}, ${models.length} models`);
    if (serverTime !== null) yield clock(Math.abs(Date.now() - serverTime));
    checked = 'API key';
    const isKeyless = settings.keys === null && !simulated;
    const keyless = 'none here, which is fine for a machine that runs no Worker with the api role';
    yield isKeyless ? ok(checked, keyless) : creditsFinding((await getCredits()).currentCredits, ofDev);
  } catch (error) {
    yield failed(checked, error);
  }
}

function creditsFinding(credits: number | null, ofDev: boolean): Finding {
  if (credits === 0) return warn('API key', 'works, but the account has no credits; add some');
  const whose = ofDev ? '; that of the emulator of "dev", as none is set here' : '';
  return ok('API key', `works, ${credits ?? 'an unknown number of'} credits${whose}`);
}

function clock(skewMs: number): Finding {
  if (skewMs <= CLOCK_SKEW_MS) return ok('clock', "agrees with the API's");
  return warn('clock', `${formatDuration(skewMs)} away from the API's; set this machine's clock (NTP)`);
}

async function storeFinding(settings: Settings): Promise<Finding> {
  const found = await findStore(settings);
  const none =
    'none here: results of Workers with these settings are links, which expire. Set RIVYA_STORE to keep files';
  if (found === null) return ok('store', none);
  try {
    await found.store.probe();
    const whose = found.ofDev ? '; that of "dev", as none is set here' : '';
    return ok('store', `${found.store.address} can be written${whose}`);
  } catch (error) {
    return fail('store', judge(error).message, STATUS.usage);
  }
}

function failed(name: string, error: unknown): Finding {
  const { message, status } = judge(error);
  return fail(name, message, status);
}
