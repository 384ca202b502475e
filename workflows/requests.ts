/**
 * A request of people to a Workflow that never pays by itself, as Update with a validator and as Signal, because the
 * Service's batch operations send Signals. A Signal that a validator would refuse does nothing. `rivyaBatch` and
 * `rivyaAccount` register theirs here. Deterministic.
 */
import { ApplicationFailure, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { FAILURE, failureEnd } from '../src/contract/index.js';
import { InvalidInput } from '../src/policy/index.js';

interface Request {
  /** As the Temporal UI shows it. */
  readonly description: string;
  /** Why it cannot be applied, or null. @throws InvalidInput for an argument that cannot be read. */
  readonly refusal: (argument: unknown) => string | null;
  /** Applies it, and returns the answer to the Update. */
  readonly update: (argument: unknown) => string | Promise<string>;
  /** Applies it for a Signal, which has no answer. */
  readonly signal: (argument: unknown) => unknown;
}

export function registerRequest(name: string, { description, refusal, update, signal }: Request): void {
  const problem = (argument: unknown): string | null => {
    try {
      return refusal(argument);
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      return error.problem;
    }
  };
  const validator = (argument?: unknown): void => {
    const why = problem(argument);
    if (why === null) return;
    throw ApplicationFailure.nonRetryable(failureEnd(FAILURE.InvalidInput, why), FAILURE.InvalidInput);
  };
  setHandler(defineUpdate<string, [unknown?]>(name), update, { description, validator });
  const signalled = (argument?: unknown): void => void (problem(argument) === null && signal(argument));
  setHandler(defineSignal<[unknown?]>(name), signalled, { description });
}
