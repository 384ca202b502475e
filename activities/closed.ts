/**
 * The guard of everything that pays: it guarantees that nothing new is paid while the account holds generations, for a
 * cause that all calls share or because a person has stopped payments. `paidPost` and `rivyaUpload` call it. It never holds
 * back a POST that may have been sent before.
 */
import type { ClosedBy } from '../src/policy/gate.js';
import { closedText } from '../src/policy/gate.js';
import { finalFailure } from './failure.js';

/** The cause for which nothing new is paid, or null. Never fails; waits at most 5 s. */
export type ClosedByCause = () => Promise<ClosedBy | null>;

/**
 * @param wasPosted - Asked only where there is a cause: true where something may have been paid already, which goes on.
 * @throws ApplicationFailure of the code of the cause, which Temporal does not repeat: the Workflow holds.
 */
export async function refuseWhileClosed(
  closedBy: ClosedByCause | undefined,
  wasPosted: () => Promise<boolean> = async () => false,
): Promise<void> {
  const cause = (await closedBy?.()) ?? null;
  if (cause === null || (await wasPosted())) return;
  const { problem, action } = closedText(cause);
  throw finalFailure(cause.code, problem, { action, requestId: cause.requestId });
}
