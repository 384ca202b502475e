/**
 * The Activity `rivyaRelease`: resumes all generations and chats that one cause holds, by the Service's batch operation. It
 * guarantees that those which enter the hold meanwhile are found too, and that it ends although some take no notice.
 * `rivyaAccount` calls it once the cause is over. It calls no API.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { activityInfo, Context, log } from '@temporalio/activity';
import { RESUME, type ReleaseInput, type ReleaseResult } from '../src/contract/index.js';
import { TIMEOUTS } from '../src/policy/index.js';
import { repeatUntilNobody, runBatchOperation, type WaitingRun } from '../src/temporal/batch-operation.js';
import { heldRuns } from '../src/temporal/held.js';
import { hasAttributes } from '../src/temporal/search-attributes.js';

// One pass misses all that enter the hold while it runs; the list lags by seconds.
const QUIET_MS = 15_000;
const QUIET_LOOKS = 2;

export async function rivyaRelease({ code }: ReleaseInput): Promise<ReleaseResult> {
  const context = Context.current();
  const { client, cancellationSignal: interrupted } = context;
  const { taskQueue } = activityInfo();
  const attributes = await hasAttributes(client);
  if (attributes === undefined) throw new Error('The Service does not say whether there are search attributes.');
  if (!attributes) return { sent: 0, attributes };
  // Those that were asked, and take no notice or are held anew: they keep nobody else waiting.
  const asked = new Set<string>();
  const look = async (): Promise<WaitingRun[]> =>
    (await heldRuns(client, taskQueue, code)).filter(({ runId }) => !asked.has(runId));
  const send = (runs: readonly WaitingRun[]): Promise<void> =>
    runBatchOperation(
      client,
      { send: { signal: RESUME, input: { code } }, reason: `rivya-temporal: ${code} is over` },
      runs,
      { sent: () => undefined, busy: () => void log.info('another batch job runs in this namespace'), interrupted },
    );
  const timer = setInterval(() => context.heartbeat(), TIMEOUTS.heartbeatEvery);
  try {
    for (let quiet = 0; quiet < QUIET_LOOKS;) {
      const first = await look();
      if (first.length > 0) {
        quiet = 0;
        const done = await repeatUntilNobody({ first, look, send, interrupted });
        for (const runId of done.keys()) asked.add(runId);
        continue;
      }
      quiet += 1;
      if (quiet < QUIET_LOOKS) await sleep(QUIET_MS, undefined, { signal: interrupted });
    }
  } finally {
    clearInterval(timer);
  }
  log.info('released', { code, sent: asked.size });
  return { sent: asked.size, attributes };
}
