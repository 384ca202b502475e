/**
 * The spending policy of a Worker, as the Activities apply it. It guarantees that no input can exceed it. The
 * Activities that pay or upload call it, right before something new is paid for, uploaded or read. It never denies what
 * may be paid already: a submit without an answer, a task, a result.
 */
import { log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, type TaskSnapshot } from '../src/contract/index.js';
import { deniedBy, type Asked, type SpendingPolicy } from '../src/policy/index.js';
import { finalFailure } from './failure.js';
import { priceOf, type Prices } from './price.js';

export interface Spending extends Prices {
  /** Null: no limits but those of the account. */
  readonly policy: SpendingPolicy | null;
}

/** @throws ApplicationFailure `PolicyDenied`, which is not repeated; or one that is repeated while no price can be had. */
export async function checkPolicy(spending: Spending | undefined, asked: Omit<Asked, 'basePrice'>): Promise<void> {
  if (spending === undefined || spending.policy === null) return;
  const { policy } = spending;
  const { model } = asked;
  // The rules that need no price come first.
  let denial = deniedBy(policy, asked);
  if (denial === null && model !== undefined && policy.maxCreditsPerGeneration !== null) {
    const basePrice = await priceOf(model, spending, 'The spending policy');
    denial = deniedBy(policy, { ...asked, basePrice });
  }
  if (denial === null) return;
  const action = `Ask for something that it allows, or have the operator of the Workers change "${denial.rule}" in ${policy.source} and restart them.`;
  const message = `The spending policy of this Worker (${policy.source}) ${denial.why}. Nothing was sent and nothing was paid by this call.`;
  throw finalFailure(FAILURE.PolicyDenied, message, { action });
}

export function isDenial(error: unknown): error is ApplicationFailure {
  return error instanceof ApplicationFailure && error.type === FAILURE.PolicyDenied;
}

/** Logs a task that cost more than the policy allows. It is paid, so nothing else is changed. */
export function warnAboveLimit(spending: Spending | undefined, { taskId, reservedCredits }: TaskSnapshot): void {
  const limit = spending?.policy?.maxCreditsPerGeneration ?? null;
  if (limit === null || reservedCredits === null || reservedCredits <= limit) return;
  const message = 'a task costs more than the spending policy allows: the starting price of its model is lower';
  log.warn(message, { taskId, reservedCredits, limit });
}
