/**
 * The Activity `rivyaAccountLook`: what the Service says of queues, Workers, holds and the rate. `rivyaAccount` calls it. It
 * calls no API and changes nothing.
 */
import { activityInfo, Context } from '@temporalio/activity';
import { ACCOUNT_MEMO_FIELD, type LookInput, type LookResult } from '../src/contract/index.js';
import { lookAtQueues } from '../src/temporal/account-look.js';
import { describeRun, runIdsOf } from '../src/temporal/runs.js';

const MOST_RUNS = 10;

export async function rivyaAccountLook({ first }: LookInput): Promise<LookResult> {
  const { client } = Context.current();
  const { taskQueue } = activityInfo();
  const [live, before] = await Promise.all([lookAtQueues(client, taskQueue), first ? memoBefore() : null]);
  // What moves all the time is nothing for a memo.
  const { perMinute: _, ...look } = live;
  return { look, before };
}

/** The memo of the newest run before this one that has one, as the Service keeps it for its retention; null: none has. */
async function memoBefore(): Promise<unknown> {
  const { client, info } = Context.current();
  const { workflowId = '', runId = '' } = info.workflowExecution ?? {};
  const others = (await runIdsOf(client, workflowId))?.filter((id) => id !== runId) ?? [];
  // A run that was ended before its first look has left none.
  for (const earlier of others.slice(0, MOST_RUNS)) {
    // One that a codec of ours cannot read is as good as none.
    const run = await describeRun(client, workflowId, earlier).catch(() => null);
    const memo = run?.memo?.[ACCOUNT_MEMO_FIELD];
    if (memo !== undefined) return memo;
  }
  return null;
}
