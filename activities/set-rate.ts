/**
 * The Activity `rivyaSetRate`: sets the rate of the API task queue at the Service. It guarantees that a rate which a person
 * has set stays, unless a person asks. `rivyaAccount` calls it; nobody else sets a rate.
 */
import { Context, log } from '@temporalio/activity';
import type { SetRateInput, SetRateResult } from '../src/contract/index.js';
import { setQueueRate } from '../src/temporal/queue-rate.js';

export async function rivyaSetRate(input: SetRateInput): Promise<SetRateResult> {
  const result = await setQueueRate(Context.current().client, input);
  const { queue, perMinute, reason } = input;
  log.info('rate of the API task queue', { queue, perMinute, reason, ...result });
  return result;
}
