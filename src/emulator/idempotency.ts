import { holderOf, type ApiSettings, type Call, type Holder } from './call.js';
import { json, Refusal, refusalReply, type Reply } from './replies.js';
import { sha256, type State, type StoredReply } from './state.js';

/** What `storeRefusals` stores: refusals that body and account earn. Keys, scopes and rates are judged anew each time. */
const STORED_REFUSALS = new Set([400, 402]);

/** Which answer belongs to an idempotency key, and which first POSTs are still running. */
export class Idempotency {
  readonly #state: State;
  readonly #settings: ApiSettings;
  /** First POSTs that are not answered yet, by idempotency key and its owner. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(state: State, settings: ApiSettings) {
    this.#state = state;
    this.#settings = settings;
  }

  /**
   * Answers a call that pays. `make` does the work and names its task, if it makes one; a call that was answered before gets
   * what `again` makes of the stored answer.
   * @throws Refusal `idempotency_conflict` for other bytes, or while the first POST runs and the switch says so.
   */
  async once(
    call: Call,
    holder: Holder,
    make: () => Promise<{ readonly reply: Reply; readonly taskId: string | null }>,
    again: (stored: StoredReply) => Reply = ({ status, body }) => json(status, JSON.parse(body)),
  ): Promise<Reply> {
    const stored = await this.#begin(call, holder);
    if (stored !== undefined) return again(stored);
    try {
      const { reply, taskId } = await make();
      this.#store(call, holder, reply, taskId);
      return reply;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const reply = refusalReply(error);
      this.storeRefusal(call, reply);
      return reply;
    }
  }

  /** The stored answer for this call, or undefined where it is the first with its key and shall do the work. */
  async #begin(call: Call, holder: Holder): Promise<StoredReply | undefined> {
    if (call.idempotencyKey === null) return undefined;
    const { concurrentPost, keyScope } = this.#settings.switches;
    const owner = keyScope === 'apiKey' ? holder.key : holder.account;
    const slot = `${owner}\n${call.idempotencyKey}`;
    for (let first; (first = this.#running.get(slot)) !== undefined; await call.refreshNow()) {
      if (concurrentPost === 'conflict') {
        throw new Refusal('idempotency_conflict', 'The first request with this idempotency key is still running.');
      }
      if (concurrentPost === 'replay' && this.#recall(call, holder) !== undefined) break;
      await first;
    }
    const stored = this.#recall(call, holder);
    if (stored !== undefined) {
      if (stored.digest !== sha256(call.body)) throw new Refusal('idempotency_conflict');
      return stored;
    }
    this.#running.set(
      slot,
      new Promise((resolve) => {
        call.finished = () => {
          this.#running.delete(slot);
          resolve();
        };
      }),
    );
    return undefined;
  }

  #store(call: Call, holder: Holder, reply: Reply, taskId: string | null): void {
    const key = call.idempotencyKey;
    if (key === null) return;
    const stored: StoredReply = {
      digest: sha256(call.body),
      apiKey: sha256(holder.key),
      account: holder.account,
      status: reply.status,
      body: reply.body.toString(),
      taskId,
      at: call.now,
    };
    const others = this.#state.replies(key).filter((other) => other.apiKey !== stored.apiKey);
    this.#state.setReplies(key, [...others, stored]);
  }

  /** Stores a refusal or a 500, if the switches say that the API does. What an earlier call was answered stays. */
  storeRefusal(call: Call, reply: Reply): void {
    const { storeRefusals, storeServerErrors } = this.#settings.switches;
    if (!(reply.status === 500 ? storeServerErrors : storeRefusals && STORED_REFUSALS.has(reply.status))) return;
    const found = this.#settings.keys.find((candidate) => call.authorization === `Bearer ${candidate.key}`);
    if (found === undefined) return;
    const holder = holderOf(found);
    if (call.created !== true && this.#recall(call, holder) !== undefined) return;
    this.#store(call, holder, reply, null);
  }

  #recall(call: Call, { key, account }: Holder): StoredReply | undefined {
    const { keyScope, keyLifetimeMs } = this.#settings.switches;
    const apiKey = sha256(key);
    const own = this.#state
      .replies(call.idempotencyKey ?? '')
      .filter((one) => (keyScope === 'apiKey' ? one.apiKey === apiKey : one.account === account));
    return own.find(({ at }) => call.now - at < keyLifetimeMs);
  }
}
