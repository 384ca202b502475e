// A generation as a first sample writes it: Activities with the default retries, a status call each 5 s, a download.
import { ApplicationFailure, proxyActivities, sleep } from '@temporalio/workflow';

const { submit, check, download } = proxyActivities({ startToCloseTimeout: '75s' });

export async function naiveGeneration(input) {
  const { id } = await submit(input);
  for (;;) {
    await sleep(5_000);
    const { status, urls } = await check(id);
    if (status === 'failed') throw ApplicationFailure.nonRetryable('The generation failed');
    if (status === 'succeeded') return download(urls[0]);
  }
}
