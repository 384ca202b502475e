import { activityInfo, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { RivyaApiError } from '../src/api/index.js';
import { FAILURE, type FailureDetails, type TaskSnapshot } from '../src/contract/index.js';
import { deniedBy, retryDelay, type Asked, type SpendingPolicy } from '../src/policy/index.js';
import { nothingKnown } from './failure.js';

/** What a Worker may spend, and where prices come from. */
export interface Spending {
  /** Null: no limits but those of the account. */
  readonly policy: SpendingPolicy | null;
  /** Starting price of a model in credits, null where the list of models does not tell; rejects when there is no list. */
  readonly basePrice: (model: string) => Promise<number | null>;
}

/**
 * Refuses what the spending policy of this Worker forbids. Call it right before something new is paid for, uploaded or
 * read, and never for what may be paid already: a submit without an answer, a task, a result.
 *
 * @throws ApplicationFailure `PolicyDenied`, which is not repeated; or one that is repeated while no price can be had.
 */
export async function checkPolicy(spending: Spending | undefined, asked: Omit<Asked, 'basePrice'>): Promise<void> {
  if (spending === undefined || spending.policy === null) return;
  const { policy } = spending;
  const { model } = asked;
  // What can be denied without asking for prices is.
  let denial = deniedBy(policy, asked);
  if (denial === null && model !== undefined && policy.maxCreditsPerGeneration !== null) {
    denial = deniedBy(policy, { model, basePrice: await priceOf(model, spending) });
  }
  if (denial === null) return;
  const details: FailureDetails = {
    ...nothingKnown(),
    code: FAILURE.PolicyDenied,
    action: `Ask for something that it allows, or have whoever runs the Workers change "${denial.rule}" in ${policy.source} and restart them.`,
  };
  const message = `The spending policy of this Worker (${policy.source}) ${denial.why}. Nothing was sent and nothing was paid by this call.`;
  throw ApplicationFailure.nonRetryable(message, FAILURE.PolicyDenied, details);
}

async function priceOf(model: string, { basePrice }: Spending): Promise<number | null> {
  try {
    return await basePrice(model);
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    const { code, httpStatus, requestId, retryAfterMs } = error;
    const { attempt } = activityInfo();
    const action = 'Nothing was sent. Nothing to do: the list of models is asked for again.';
    const details: FailureDetails = { ...nothingKnown(), code: code ?? 'network_error', httpStatus, requestId, action };
    throw ApplicationFailure.create({
      type: details.code,
      message: `The spending policy needs the price of "${model}", and the list of models cannot be had: ${error.message} ${action}`,
      details: [details],
      nextRetryDelay: retryDelay({ attempt, code, retryAfterMs, random: Math.random() }),
    });
  }
}

/** Tells the log of a task that cost more than the policy allows. It is paid, so nothing else is changed. */
export function warnAboveLimit(spending: Spending | undefined, { taskId, reservedCredits }: TaskSnapshot): void {
  const limit = spending?.policy?.maxCreditsPerGeneration ?? null;
  if (limit === null || reservedCredits === null || reservedCredits <= limit) return;
  log.warn('a task costs more than the spending policy allows: the starting price of its model is lower', {
    taskId,
    reservedCredits,
    limit,
  });
}
