import type { Call, Holder } from './call.js';
import { sha256 } from './ids.js';
import { json, Refusal, refusalReply, type Reply } from './replies.js';
import type { State, StoredReply } from './state.js';

/** HTTP statuses that `storeRefusals` stores: refusals of body and credits. Keys, scopes and rates are judged anew each time. */
const STORED_REFUSALS = new Set([400, 402]);

/** The stored replies by idempotency key, and the first POSTs that are still running. */
export function openIdempotency(state: State) {
  /** First POSTs that are not answered yet, by idempotency key and its owner. */
  const running = new Map<string, Promise<void>>();

  /**
   * Answers a paid call. `make` does the work and names its task, if it makes one; a repeated call gets the stored answer,
   * as `again` shows it.
   * @throws Refusal `idempotency_conflict` for other bytes, or while the first POST runs and the switch says so.
   */
  async function once(
    call: Call,
    holder: Holder,
    make: () => Promise<{ readonly reply: Reply; readonly taskId: string | null }>,
    again: (stored: StoredReply) => Reply = ({ status, body }) => json(status, JSON.parse(body)),
  ): Promise<Reply> {
    const stored = await begin(call, holder);
    if (stored !== undefined) return again(stored);
    try {
      const { reply, taskId } = await make();
      store(call, holder, reply, taskId);
      return reply;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const reply = refusalReply(error);
      storeRefusal(call, reply);
      return reply;
    }
  }

  /** The stored answer for this call, or undefined where it is the first with its key and shall do the work. */
  async function begin(call: Call, holder: Holder): Promise<StoredReply | undefined> {
    if (call.idempotencyKey === null) return undefined;
    const { concurrentPost, keyScope } = state.settings.switches;
    const own = slotOf(call, keyScope === 'apiKey' ? holder.key : holder.account);
    for (let first; (first = running.get(own)) !== undefined; await call.refreshNow()) {
      if (concurrentPost === 'conflict') {
        throw new Refusal('idempotency_conflict', 'The first request with this idempotency key is still running.');
      }
      if (concurrentPost === 'replay' && recall(call, holder) !== undefined) break;
      await first;
    }
    const stored = recall(call, holder);
    if (stored !== undefined) {
      if (stored.digest !== sha256(call.body)) throw new Refusal('idempotency_conflict');
      return stored;
    }
    running.set(
      own,
      new Promise((resolve) => {
        call.finished = () => {
          running.delete(own);
          resolve();
        };
      }),
    );
    return undefined;
  }

  function store(call: Call, holder: Holder, { status, body }: Reply, taskId: string | null): void {
    if (call.idempotencyKey === null) return;
    const stored = { digest: sha256(call.body), status, body: body.toString(), taskId, at: call.now };
    state.replies.set(slotOf(call, sha256(holder.key)), stored);
  }

  /** Stores a refusal or a 500, if a switch says so. A reply to an earlier call stays. */
  function storeRefusal(call: Call, reply: Reply): void {
    const { storeRefusals, storeServerErrors } = state.settings.switches;
    if (!(reply.status === 500 ? storeServerErrors : storeRefusals && STORED_REFUSALS.has(reply.status))) return;
    const holder = state.settings.keys.find(({ key }) => call.authorization === `Bearer ${key}`);
    if (holder === undefined) return;
    if (call.created !== true && recall(call, holder) !== undefined) return;
    store(call, holder, reply, null);
  }

  function recall(call: Call, { key, account }: Holder): StoredReply | undefined {
    const { keys, switches } = state.settings;
    // Replies lie by API key, so that a change of this switch loses none.
    const owners = keys.filter((one) => (switches.keyScope === 'apiKey' ? one.key === key : one.account === account));
    const stored = owners.map((owner) => state.replies.get(slotOf(call, sha256(owner.key))));
    return stored.find((one) => one !== undefined && call.now - one.at < switches.keyLifetimeMs);
  }

  return { once, storeRefusal };
}

export type Idempotency = ReturnType<typeof openIdempotency>;

/** An idempotency key and its owner. */
function slotOf({ idempotencyKey }: Call, owner: string): string {
  return `${owner}\n${idempotencyKey}`;
}
