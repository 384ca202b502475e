import { StoreUnavailable, type Store } from './store.js';

/** Milliseconds for one text. A submit has 15 s beside its POST, and keeps its lease for 12 s without an acknowledgement. */
export const TEXT_MS = 10_000;

/** The texts of a store: receipts and notes, which are small. */
export type Texts = Pick<Store, 'address' | 'read' | 'write' | 'list'>;

/** The texts of a store that may hang: each call is given up after `TEXT_MS`, so that no slot of the Worker is held for ever. */
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
    timer = setTimeout(() => reject(error), TEXT_MS);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
