/**
 * The Activity `rivyaAccountLook`: what the Service says of queues, Workers, holds and the rate. `rivyaAccount` calls it. It
 * calls no API and changes nothing.
 */
import { activityInfo, Context } from '@temporalio/activity';
import { ACCOUNT_MEMO_FIELD, apiTaskQueue, type LookInput, type LookResult } from '../src/contract/index.js';
import { countHeld, countRunning } from '../src/temporal/held.js';
import { servedQueues } from '../src/temporal/pollers.js';
import { queueAtService } from '../src/temporal/queue-rate.js';
import { describeRun, runIdsOf } from '../src/temporal/runs.js';

export async function rivyaAccountLook({ first }: LookInput): Promise<LookResult> {
  const { client } = Context.current();
  const { taskQueue } = activityInfo();
  const [queues, queue, heldBy, running, before] = await Promise.all([
    servedQueues(client, taskQueue),
    queueAtService(client, apiTaskQueue(taskQueue)),
    countHeld(client, taskQueue),
    countRunning(client, taskQueue),
    first ? memoBefore() : null,
  ]);
  const pollersOf = (role: keyof LookResult['look']['pollers']): string[] => [
    ...new Set(queues.find((one) => one.role === role)?.pollers),
  ];
  const pollers = { workflows: pollersOf('workflows'), results: pollersOf('results'), api: pollersOf('api') };
  return { look: { at: new Date().toISOString(), heldBy, running, ...queue, pollers }, before };
}

/** The memo of the newest run before this one, as the Service keeps it for its retention; null where there is none. */
async function memoBefore(): Promise<unknown> {
  const { client, info } = Context.current();
  const { workflowId = '', runId = '' } = info.workflowExecution ?? {};
  const earlier = (await runIdsOf(client, workflowId))?.find((id) => id !== runId);
  if (earlier === undefined) return null;
  // One that a codec of ours cannot read is as good as none.
  const run = await describeRun(client, workflowId, earlier).catch(() => null);
  return run?.memo?.[ACCOUNT_MEMO_FIELD] ?? null;
}
