/**
 * The work of the account: it does what is due by Activities, one of a kind at a time, and writes query, memo and page. It
 * guarantees that the failure of an Activity never ends the account, and that nothing runs and no timer stands while nothing
 * is due. `rivyaAccount` has one. Deterministic.
 */
import { allHandlersFinished, CancellationScope, condition, isCancellation, log } from '@temporalio/workflow';
import { setCurrentDetails, upsertMemo, workflowInfo } from '@temporalio/workflow';
import {
  ACCOUNT_MEMO_FIELD,
  type AccountInput,
  type AccountRequests,
  type AccountState,
} from '../src/contract/index.js';
import * as policy from '../src/policy/index.js';
import type { Account, AccountStep } from '../src/policy/index.js';
import { activities } from './activities.js';

// A person waits at the screen, and a command for 10 s: what is not known by then is said to be missing.
const REFRESH_MS = 8_000;

/** A change of the account by the result of a step, at the time when it is there. */
type Change = (account: Account, now: number) => Account;

export class AccountRun {
  #account: Account;
  #changed = false;
  /** The step of each kind that is under way. */
  readonly #busy = new Map<AccountStep['kind'], { readonly step: AccountStep; readonly scope: CancellationScope }>();
  #written = '';

  constructor(input: AccountInput, carried?: Account) {
    this.#account = carried ?? policy.accountAtStart(input, Date.now());
    // A new run begins without a memo.
    this.#show();
  }

  get account(): Account {
    return this.#account;
  }

  get state(): AccountState {
    return policy.accountState(this.#account);
  }

  /** Takes a report of a Worker; one that is malformed is ignored. */
  report(report: unknown): void {
    const read = policy.readReport(report);
    if (read !== null) this.#change((account, now) => policy.afterReport(account, read, now));
  }

  refusal<Name extends keyof AccountRequests>(name: Name, argument: AccountRequests[Name]): string | null {
    return policy.requestRefusal(this.#account, name, argument);
  }

  /** Applies a request, and returns the answer. */
  apply<Name extends keyof AccountRequests>(name: Name, argument: AccountRequests[Name]): string {
    const { account, answer } = policy.APPLY_TO_ACCOUNT[name](this.#account, argument, Date.now());
    this.#change(() => account);
    return answer;
  }

  /** Waits until queues, holds and balance were asked for anew, and returns what is known then. */
  async refreshed(): Promise<string> {
    // What is under way now may have been asked before.
    const [looks, reads] = [this.#account.looks + this.#isBusy('look'), this.#account.reads + this.#isBusy('read')];
    const isDone = (): boolean => this.#account.looks > looks && this.#account.reads > reads;
    const isWhole = await condition(isDone, REFRESH_MS, { summary: 'a person waits for the answers' });
    return policy.refreshedText(this.state, isWhole);
  }

  /** Does what is due, until the Service suggests to continue as new and nothing is under way. */
  async untilFull(): Promise<void> {
    for (;;) {
      this.#startDue();
      const isFull = (): boolean => workflowInfo().continueAsNewSuggested && allHandlersFinished();
      if (isFull()) {
        await this.#drain();
        if (allHandlersFinished()) return;
      }
      const now = Date.now();
      const due = policy.nextDue(this.#account, now);
      this.#changed = false;
      const woken = (): boolean => this.#changed || isFull();
      if (due === null) await condition(woken);
      else await condition(woken, due.at - now, { summary: due.what });
    }
  }

  #startDue(): void {
    const now = Date.now();
    this.#change((account) => policy.accountAt(account, now));
    for (const { step, scope } of this.#busy.values()) {
      if (step.kind === 'release' && !policy.isReleasing(this.#account, step)) scope.cancel();
    }
    for (const step of policy.dueSteps(this.#account, now)) {
      if (!this.#busy.has(step.kind)) void this.#do(step);
    }
  }

  /** One step. It never fails. */
  async #do(step: AccountStep): Promise<void> {
    const scope = new CancellationScope();
    this.#busy.set(step.kind, { step, scope });
    this.#account = policy.stepBegun(this.#account, step);
    let change: Change;
    try {
      change = await scope.run(() => this.#result(step));
    } catch (error) {
      if (isCancellation(error)) change = (account, now) => policy.stepUndone(account, step, now);
      else {
        log.warn('a step of the account has failed, and is tried again', { step: step.kind, error });
        change = failed(step);
      }
    }
    this.#busy.delete(step.kind);
    this.#change(change);
    // Another step of this kind may wait for its turn.
    this.#changed = true;
  }

  async #result(step: AccountStep): Promise<Change> {
    const { taskQueue } = this.#account;
    switch (step.kind) {
      case 'look': {
        const { asked, done, applied } = this.#account.rate;
        const wasBusy = this.#busy.has('rate');
        const { rivyaAccountLook: lookAt } = activities.account(taskQueue, 'look at queues and holds');
        const { look, before } = await lookAt({ first: step.first });
        const { rate } = this.#account;
        const isSame = rate.asked === asked && rate.done === done && rate.applied === applied;
        const rateIsFresh = isSame && !wasBusy && !this.#busy.has('rate');
        return (account, now) => policy.afterLook(account, look, policy.readBefore(before), rateIsFresh, now);
      }
      case 'rate': {
        const { perMinute } = step.input;
        const to = perMinute === null ? 'what the Workers send' : perMinute === 0 ? 'closed' : `${perMinute} a minute`;
        const result = await activities.account(taskQueue, `rate: ${to}`).rivyaSetRate(step.input);
        return (account, now) => policy.afterSetRate(account, step, result, now);
      }
      case 'read': {
        const result = await activities.read(taskQueue, 'ask for the balance').rivyaRead({ what: 'credits' });
        return (account, now) => policy.afterRead(account, result, now);
      }
      case 'release': {
        const { code } = step;
        await activities.release(taskQueue, `resume those held by ${code}`).rivyaRelease({ code });
        return (account, now) => policy.afterRelease(account, step, true, now);
      }
    }
  }

  /** Ends what is under way, apart from a rate that is being set: the next run begins it anew. */
  async #drain(): Promise<void> {
    for (const { step, scope } of this.#busy.values()) if (step.kind !== 'rate') scope.cancel();
    await condition(() => this.#busy.size === 0);
  }

  #isBusy(kind: AccountStep['kind']): number {
    return this.#busy.has(kind) ? 1 : 0;
  }

  #change(change: Change): void {
    const next = change(this.#account, Date.now());
    if (next === this.#account) return;
    this.#account = next;
    this.#changed = true;
    this.#show();
  }

  /** Current details cost no history; the memo is one event, so it is written where it has changed in substance. */
  #show(): void {
    const { state } = this;
    setCurrentDetails(policy.describeAccount(state));
    const substance = policy.substanceOf(state);
    // A new account knows nothing of the run before until its first look: until then Workers go on with what they know.
    const isKnown = state.look !== null || state.causes.length > 0;
    if (!isKnown || substance === this.#written) return;
    this.#written = substance;
    upsertMemo({ [ACCOUNT_MEMO_FIELD]: state });
  }
}

/** The change of a step that has failed for good, however its Activity is repeated. */
function failed(step: AccountStep): Change {
  switch (step.kind) {
    case 'look':
      return (account, now) => policy.afterFailedLook(account, now);
    case 'rate':
      return (account, now) => policy.afterSetRate(account, step, null, now);
    case 'read':
      return (account, now) => policy.afterRead(account, null, now);
    case 'release':
      return (account, now) => policy.afterRelease(account, step, false, now);
  }
}
