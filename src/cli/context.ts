import { createRivyaClient, staticKey, type RivyaClient } from '../api/index.js';
import { GenerationClient } from '../client.js';
import { readSettings, type Settings } from '../config.js';
import { openStore, Receipts, type Store } from '../storage/index.js';
import { configuredAddress, connectClient, type TemporalTarget } from '../temporal/connect.js';
import { findSession, type DevSession } from './dev-session.js';
import type { Client } from '@temporalio/client';

/** Temporal as a command sees it. */
export interface Temporal extends TemporalTarget {
  readonly client: Client;
  readonly generations: GenerationClient;
  readonly taskQueue: string;
  readonly uiUrl: string | null;
}

/** True where a key for the real API is set. */
export function hasKey(env: NodeJS.ProcessEnv = process.env): boolean {
  return Boolean(env['RIVYA_API_KEY'] || env['RIVYA_API_KEY_FILE']);
}

/** The `dev` of this machine, unless Temporal's own settings name another server. */
export async function localSession(): Promise<DevSession | null> {
  return configuredAddress() === null ? findSession() : null;
}

/**
 * Connects by the settings, or to the `dev` of this machine where they name no server.
 * @throws TemporalUnreachable
 */
export async function openTemporal(settings: Settings, taskQueue?: string): Promise<Temporal> {
  const session = await localSession();
  const connected = await connectClient(session?.address);
  const queue =
    taskQueue ?? (process.env['RIVYA_TASK_QUEUE'] ? settings.taskQueue : (session?.taskQueue ?? settings.taskQueue));
  return {
    client: connected.client,
    address: connected.address,
    namespace: connected.namespace,
    generations: new GenerationClient(connected.client, { taskQueue: queue }),
    taskQueue: queue,
    uiUrl: settings.uiUrl ?? session?.uiUrl ?? null,
  };
}

/** The API by the settings, or the emulator of the `dev` of this machine where they name neither key nor address. */
export async function openApi(
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ api: RivyaClient; baseUrl: string; ofDev: boolean }> {
  const settings = readSettings(env);
  const emulator = await localEmulator(settings, env);
  if (emulator !== null) {
    const { EMULATOR_API_KEY } = await import('../emulator/index.js');
    const api = createRivyaClient({ baseUrl: emulator, keys: staticKey(EMULATOR_API_KEY) });
    return { api, baseUrl: emulator, ofDev: true };
  }
  const { baseUrl } = settings;
  return { api: createRivyaClient({ baseUrl, keys: settings.keys ?? staticKey('') }), baseUrl, ofDev: false };
}

/** The store of the settings, or that of the `dev` of this machine; null where there is none. */
export async function findStore(settings: Settings): Promise<{ store: Store; ofDev: boolean } | null> {
  if (settings.store !== null) return { store: settings.store, ofDev: false };
  const address = (await localSession())?.store ?? null;
  return address === null ? null : { store: openStore(address), ofDev: true };
}

/** The receipts in that store; null where there is none. */
export async function openReceipts(
  settings: Settings,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ receipts: Receipts; store: Store; baseUrl: string } | null> {
  const found = await findStore(settings);
  if (found === null) return null;
  const { store } = found;
  const baseUrl = (await localEmulator(settings, env)) ?? settings.baseUrl;
  return { receipts: new Receipts(store, baseUrl), store, baseUrl };
}

/** Days for which the namespace keeps closed Workflows, or null where it does not tell. */
export async function retentionDays({
  client,
  namespace,
}: Pick<Temporal, 'client' | 'namespace'>): Promise<number | null> {
  // A key may lack the right to ask.
  const described = await client.workflowService.describeNamespace({ namespace }).catch(() => null);
  const seconds = described?.config?.workflowExecutionRetentionTtl?.seconds;
  return seconds == null ? null : Math.round(Number(seconds) / 86_400);
}

async function localEmulator(settings: Settings, env: NodeJS.ProcessEnv): Promise<string | null> {
  return settings.keys === null && !env['RIVYA_BASE_URL'] ? ((await localSession())?.baseUrl ?? null) : null;
}
