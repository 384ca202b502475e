// A generation as a plain Workflow that promises nothing: the baseline of `npm run bench -- cost`. No memo, no heartbeats,
// no receipts, no store; a submit that is repeated pays again.
import { proxyActivities, sleep } from '@temporalio/workflow';

const { submit, check } = proxyActivities({ startToCloseTimeout: '75s' });

export async function plainGeneration(input) {
  const { id } = await submit(input);
  // The schedule of this package for an image.
  await sleep(2_000 + 1_000 * Math.random());
  for (;;) {
    const { status, urls } = await check(id);
    if (status === 'succeeded') return urls;
    await sleep(5_000);
  }
}
