import { z } from 'zod';
import type { Fault } from './faults.js';
import { json, text, type Reply } from './replies.js';
import type { EmulatorSwitches } from './switches.js';
import type { EmulatorKey, Ledger, RecordedRequest } from './types.js';
import { checked, parseJson } from './validate.js';

/** Control of a running emulator: by the admin paths, and by the object that `startEmulator` returns. */
export interface AdminCalls {
  /** Who paid for what, now. */
  ledger(): Promise<Ledger>;
  /** The latest 10,000 requests that arrived since the start or the last `reset()`, admin paths left out. */
  requests(): readonly RecordedRequest[];
  /** Replaces all faults and starts their counts anew. @throws TypeError for a fault that is not one. */
  setFaults(faults: readonly Fault[]): void;
  /** Changes these switches and keeps the others. @throws TypeError for an unknown switch or setting. */
  setSwitches(switches: Partial<EmulatorSwitches>): void;
  /** Replaces all API keys. Tasks and credits belong to accounts and stay. @throws TypeError for a key without a text. */
  setKeys(keys: readonly EmulatorKey[]): void;
  /** Sets the balance of an account; undefined: that of the first key. */
  setCredits(account: string | undefined, credits: number): Promise<void>;
  /** Sets the calls in each minute of the clock, per API key. @throws TypeError for what is not 1 or more. */
  setRateLimit(perMinute: number): void;
  /** Ends the tasks whose prompt contains this (default: all) and that have not ended; one that never ends succeeds. */
  endTasks(prompt?: string): Promise<void>;
  /** Forgets tasks, stored replies, requests and rate windows, and puts back the settings of the start. */
  reset(): void;
}

const CREDITS = z.object({ account: z.string().optional(), credits: z.number() });
const RATE_LIMIT = z.object({ perMinute: z.number() });
const TASKS = z.strictObject({ prompt: z.string().optional() });

/** The admin paths. A body that the call does not take is refused by the call itself. */
const PATHS: Readonly<Record<string, (calls: AdminCalls, body: unknown) => unknown>> = {
  'GET /__admin/ledger': (calls) => calls.ledger(),
  'GET /__admin/requests': (calls) => calls.requests(),
  'POST /__admin/faults': (calls, body) => calls.setFaults(body as Fault[]),
  'POST /__admin/switches': (calls, body) => calls.setSwitches(body as Partial<EmulatorSwitches>),
  'POST /__admin/keys': (calls, body) => calls.setKeys(body as EmulatorKey[]),
  'POST /__admin/credits': async (calls, body) => {
    const { account, credits } = checked(CREDITS, body, 'Not a balance');
    await calls.setCredits(account, credits);
  },
  'POST /__admin/rate-limit': (calls, body) => {
    calls.setRateLimit(checked(RATE_LIMIT, body, 'Not a rate limit').perMinute);
  },
  'POST /__admin/end': (calls, body) => calls.endTasks(checked(TASKS, body, 'Not tasks').prompt),
  'POST /__admin/reset': (calls) => calls.reset(),
};

/** The reply of an admin path. Loopback only. */
export async function admin(calls: AdminCalls, method: string, path: string, body: string, from = ''): Promise<Reply> {
  // IPv4 addresses arrive as ::ffff:127.0.0.1 on a socket that listens to both.
  if (!/^(?:::1|(?:::ffff:)?127\.[\d.]+)$/.test(from)) return text(403, 'Admin paths answer to loopback only.\n');
  const call = PATHS[`${method} ${path}`];
  if (call === undefined) return text(404, `There is no admin path ${method} ${path}.\n`);
  try {
    return json(200, (await call(calls, parseJson(body))) ?? { ok: true });
  } catch (error) {
    if (error instanceof TypeError) return text(400, `${error.message}\n`);
    throw error;
  }
}
