// A batch as a plain loop of child Workflows, which `npm run bench:batch` compares with: no records, no budget, no brakes, and
// a history that ends it at some 5,000 items.
import { executeChild, workflowInfo } from '@temporalio/workflow';

export async function plainLoop({ prompts, maxInFlight, taskQueue }) {
  const { workflowId } = workflowInfo();
  let next = 0;
  const lane = async () => {
    while (next < prompts.length) {
      const n = next++;
      const options = { workflowId: `${workflowId}/${n}`, taskQueue };
      await executeChild('generateMedia', { ...options, args: [{ model: 'z-image', prompt: prompts[n] }] });
    }
  };
  await Promise.all(Array.from({ length: maxInFlight }, lane));
}
