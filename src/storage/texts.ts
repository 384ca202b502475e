/** Small texts in a store (receipts, notes, sidecars): their time limit, and their form, JSON that a schema checks. */
import type { z } from 'zod';
import { StoreUnavailable, type Store } from './store.js';

/** Milliseconds for one text. A submit has 15 s beside its POST, and keeps its lease for 12 s without an acknowledgement. */
export const TEXT_MS = 10_000;
const STEPS = 10;

export type Texts = Pick<Store, 'address' | 'read' | 'write' | 'list'>;

/** The texts of a store, where each call fails after `TEXT_MS`: a store that hangs holds no slot of the Worker for ever. */
export function timely(store: Store): Texts {
  return {
    address: store.address,
    read: (name) => inTime(store, 'read', store.read(name)),
    write: (name, text) => inTime(store, 'written', store.write(name, text)),
    list: (folder) => inTime(store, 'read', store.list(folder)),
  };
}

async function inTime<T>({ address }: Store, what: string, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new StoreUnavailable(`The store ${address} cannot be ${what}: it has not answered for 10 s.`);
    // In steps: while this process itself stands still, answers wait to be read, and it counts one step at most.
    let steps = 0;
    timer = setInterval(() => ++steps === STEPS && reject(error), TEXT_MS / STEPS);
  });
  return Promise.race([call, late]).finally(() => clearInterval(timer));
}

export function jsonText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The value of a JSON text; null where the text is no JSON or the schema refuses it. */
export function parseJson<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
