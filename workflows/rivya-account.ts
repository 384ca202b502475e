/**
 * The Workflow `rivyaAccount`: one for each API task queue. It is the only place that sets the rate of the queue, asks whether
 * a shared cause is over, and stops submits; its memo is the switchboard that all Workers read. It guarantees that it sleeps
 * without an event while all is well. Any Worker starts it. It calls no API by itself. Deterministic.
 */
import { continueAsNew, setWorkflowOptions, workflowInfo } from '@temporalio/workflow';
import type { AccountInput } from '../src/contract/index.js';
import { readAccountInput, type Account } from '../src/policy/index.js';
import { registerAccountHandlers } from './account-handlers.js';
import { AccountRun } from './account-run.js';
import { orFailure, refuseForeignCarried } from './input.js';

/**
 * Runs for ever, under the ID that `accountWorkflowId` gives. Ended by mistake, it is started again by the next Worker, and
 * goes on with what the run before has left in its memo and at the Service.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 */
export async function rivyaAccount(input: AccountInput, carried?: Account): Promise<void> {
  const read = orFailure('', () => readAccountInput(input));
  refuseForeignCarried(carried);
  const run = new AccountRun(read, carried);
  registerAccountHandlers(run);
  await run.untilFull();
  await continueAsNew<typeof rivyaAccount>(input, run.account);
}

// With Worker Versioning it goes on with the current build: it never ends, so a build that it stayed with would never drain.
setWorkflowOptions(
  // Without Worker Versioning the Service takes no behavior, and the name is empty.
  () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'AUTO_UPGRADE' } : {}),
  rivyaAccount,
);
