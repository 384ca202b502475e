/**
 * The check of a request against the API's list of models. It guarantees that a model or parameter which the list proves
 * wrong is refused by its own name before anything is uploaded or paid. The Activities that upload or pay call it. Where no
 * list can be had it refuses nothing: then the API judges.
 */
import { FAILURE, type AskedOfList } from '../src/contract/index.js';
import { CORRECT_FIELD, type InvalidInput } from '../src/policy/index.js';
import { finalFailure } from './failure.js';

/** What the list proves wrong in a request, or null. Never rejects. */
export type ProblemOf = (request: AskedOfList) => Promise<InvalidInput | null>;

/** @throws ApplicationFailure `InvalidInput`, which is not repeated. */
export async function checkListed(problemOf: ProblemOf | undefined, request: AskedOfList): Promise<void> {
  const wrong = (await problemOf?.(request)) ?? null;
  if (wrong === null) return;
  const { field, problem } = wrong;
  const message = `${problem} Nothing was sent and nothing was paid by this call.`;
  throw finalFailure(FAILURE.InvalidInput, message, { field, action: CORRECT_FIELD });
}
