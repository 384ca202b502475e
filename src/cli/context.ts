import { staticKey } from '../api/key-source.js';
import { GenerationClient } from '../client.js';
import { readSettings, type Settings } from '../config.js';
import { CHAT_WORKFLOW_TYPE, WORKFLOW_TYPE } from '../contract/index.js';
import { openStore } from '../storage/open.js';
import type { Store } from '../storage/store.js';
import { configuredAddress, connectClient } from '../temporal/connect.js';
import { findSession, type DevSession } from '../local/dev-session.js';
import { UsageError } from './errors.js';
import { quoted } from './output.js';

export type Temporal = Awaited<ReturnType<typeof openTemporal>>;

/** The `dev` of this machine, unless Temporal's own settings name another server. */
export async function localSession(): Promise<DevSession | null> {
  return configuredAddress() === null ? findSession() : null;
}

/**
 * Connects by the settings, or to the `dev` of this machine where they name no server.
 * @param found - Another local session than `dev`.
 * @throws TemporalUnreachable
 */
export async function openTemporal(settings = readSettings(), taskQueue?: string, found?: DevSession) {
  const session = found ?? (await localSession());
  const connected = await connectClient(session?.address);
  const queue =
    taskQueue ?? (process.env['RIVYA_TASK_QUEUE'] ? settings.taskQueue : (session?.taskQueue ?? settings.taskQueue));
  const generations = new GenerationClient(connected.client, { taskQueue: queue });
  return { ...connected, generations, taskQueue: queue, uiUrl: settings.uiUrl ?? session?.uiUrl ?? null };
}

/** A Workflow that exists; `isPaid` says whether it is a generation or chat. @throws WorkflowNotFoundError */
export async function findWorkflow({ generations }: Temporal, workflowId: string) {
  if (workflowId.trim() === '') throw new UsageError('workflow-id: is empty.');
  const handle = generations.handle(workflowId);
  const description = await handle.describe();
  const isPaid = description.type === WORKFLOW_TYPE || description.type === CHAT_WORKFLOW_TYPE;
  return { handle, description, isPaid };
}

/** A generation or chat that exists. @throws WorkflowNotFoundError, or UsageError for a Workflow of another type */
export async function findGeneration(temporal: Temporal, workflowId: string) {
  const found = await findWorkflow(temporal, workflowId);
  if (found.isPaid) return found;
  throw new UsageError(
    `Workflow "${workflowId}" is of type ${found.description.type}, not a generation (${WORKFLOW_TYPE}) or a chat (${CHAT_WORKFLOW_TYPE}). See its steps with: rivya-temporal status ${quoted(workflowId)}`,
  );
}

/** The API by the settings, or the emulator of the `dev` of this machine where they name neither key nor address. */
export async function openApi(env: NodeJS.ProcessEnv = process.env) {
  const settings = readSettings(env);
  const emulator = await localEmulator(settings, env);
  const { createRivyaClient } = await import('../api/client.js');
  const keys = emulator === null ? settings.keys : staticKey((await import('../emulator/index.js')).EMULATOR_API_KEY);
  const baseUrl = emulator ?? settings.baseUrl;
  return { api: createRivyaClient({ baseUrl, keys: keys ?? staticKey('') }), baseUrl, ofDev: emulator !== null };
}

/** The store of the settings, or that of the `dev` of this machine; null where there is none. */
export async function findStore(settings: Settings): Promise<{ store: Store; ofDev: boolean } | null> {
  if (settings.store !== null) return { store: settings.store, ofDev: false };
  const address = (await localSession())?.store ?? null;
  return address === null ? null : { store: openStore(address), ofDev: true };
}

/** The receipts in that store; null where there is none. */
export async function openReceipts(settings: Settings) {
  const { store } = (await findStore(settings)) ?? {};
  if (store === undefined) return null;
  const baseUrl = (await localEmulator(settings)) ?? settings.baseUrl;
  const { Receipts } = await import('../storage/receipts.js');
  return { receipts: new Receipts(store, baseUrl), store, baseUrl };
}

/** Days for which the namespace keeps closed Workflows, or null where it does not tell. */
export async function retentionDays({ client, namespace }: Temporal): Promise<number | null> {
  // A key may lack the right to ask.
  const described = await client.workflowService.describeNamespace({ namespace }).catch(() => null);
  const seconds = described?.config?.workflowExecutionRetentionTtl?.seconds;
  return seconds == null ? null : Math.round(Number(seconds) / 86_400);
}

async function localEmulator(settings: Settings, env: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  return settings.keys === null && !env['RIVYA_BASE_URL'] ? ((await localSession())?.baseUrl ?? null) : null;
}
