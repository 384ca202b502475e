import { DEFAULT_ACCOUNT, type ApiSettings, type Call } from './call.js';
import { Refusal, type Reply } from './replies.js';
import { sha256, type State, type StoredReply } from './state.js';
import type { EmulatorKey } from './types.js';

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
   * The stored answer for this call, or undefined where it is the first with its key and shall do the work.
   * @throws Refusal `idempotency_conflict` for other bytes, or while the first POST runs and the switch says so.
   */
  async begin(call: Call, holder: EmulatorKey): Promise<StoredReply | undefined> {
    if (call.idempotencyKey === null) return undefined;
    const { concurrentPost, keyScope } = this.#settings.switches;
    const owner = keyScope === 'apiKey' ? holder.key : (holder.account ?? DEFAULT_ACCOUNT);
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

  store(call: Call, holder: EmulatorKey, reply: Reply, taskId: string | null): void {
    const key = call.idempotencyKey;
    if (key === null) return;
    const stored: StoredReply = {
      digest: sha256(call.body),
      apiKey: sha256(holder.key),
      account: holder.account ?? DEFAULT_ACCOUNT,
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
    const holder = this.#settings.keys.find((candidate) => call.authorization === `Bearer ${candidate.key}`);
    if (holder === undefined) return;
    if (call.created !== true && this.#recall(call, holder) !== undefined) return;
    this.store(call, holder, reply, null);
  }

  #recall(call: Call, holder: EmulatorKey): StoredReply | undefined {
    const { keyScope, keyLifetimeMs } = this.#settings.switches;
    const [apiKey, account] = [sha256(holder.key), holder.account ?? DEFAULT_ACCOUNT];
    return this.#state
      .replies(call.idempotencyKey ?? '')
      .find(
        (one) =>
          call.now - one.at < keyLifetimeMs &&
          (keyScope === 'apiKey' ? one.apiKey === apiKey : one.account === account),
      );
  }
}
