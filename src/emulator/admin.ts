import { json, text, type Reply } from './replies.js';
import type { EmulatorKey, EmulatorSwitches, Fault, Ledger, RecordedRequest } from './types.js';
import { isObject, parseJson } from './validate.js';

/** What can be asked of a running emulator: by the admin paths, and by the object that `startEmulator` returns. */
export interface AdminCalls {
  /** Who paid for what, now. */
  ledger(): Promise<Ledger>;
  /** The latest 10,000 requests that arrived since the start or the last `reset()`, admin paths left out. */
  requests(): readonly RecordedRequest[];
  /** Replaces all faults and starts their counts anew. @throws TypeError for a fault that is not one. */
  setFaults(faults: readonly Fault[]): void;
  /** Changes these switches and keeps the others. @throws TypeError for an unknown switch or setting. */
  setSwitches(switches: Partial<EmulatorSwitches>): void;
  /** Replaces all API keys. Tasks and credits belong to accounts and stay. */
  setKeys(keys: readonly EmulatorKey[]): void;
  /** Sets the balance of an account; undefined: that of the first key. */
  setCredits(account: string | undefined, credits: number): Promise<void>;
  /** Forgets tasks, stored replies, requests and rate windows, and puts back the settings of the start. */
  reset(): void;
}

/**
 * `GET /__admin/ledger`, `GET /__admin/requests`, `POST /__admin/faults` (array), `/__admin/switches` (object),
 * `/__admin/keys` (array), `/__admin/credits` (`{ account?, credits }`), `/__admin/reset`. Loopback only.
 */
export async function admin(
  calls: AdminCalls,
  method: string,
  path: string,
  body: string,
  from: string | undefined,
): Promise<Reply> {
  // IPv4 addresses arrive as ::ffff:127.0.0.1 on a socket that listens to both.
  if (!/^(?:::1|(?:::ffff:)?127\.[\d.]+)$/.test(from ?? '')) return text(403, 'Admin paths answer to loopback only.\n');
  const value = parseJson(body);
  try {
    switch (`${method} ${path}`) {
      case 'GET /__admin/ledger':
        return json(200, await calls.ledger());
      case 'GET /__admin/requests':
        return json(200, calls.requests());
      case 'POST /__admin/faults':
        calls.setFaults(array(value) as Fault[]);
        break;
      case 'POST /__admin/keys':
        calls.setKeys(array(value) as EmulatorKey[]);
        break;
      case 'POST /__admin/switches':
        calls.setSwitches(object(value));
        break;
      case 'POST /__admin/credits': {
        const { account, credits } = object(value) as { account?: string; credits?: unknown };
        if (typeof credits !== 'number') throw new TypeError('"credits" must be a number.');
        await calls.setCredits(account, credits);
        break;
      }
      case 'POST /__admin/reset':
        calls.reset();
        break;
      default:
        return text(404, `There is no admin path ${method} ${path}.\n`);
    }
  } catch (error) {
    if (error instanceof TypeError) return text(400, `${error.message}\n`);
    throw error;
  }
  return json(200, { ok: true });
}

function array(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new TypeError('The body must be a JSON array.');
  return value;
}

function object(value: unknown): object {
  if (!isObject(value)) throw new TypeError('The body must be a JSON object.');
  return value;
}
