/** The Workflow `rivyaRead`: one read-only call to the API for a command, on the API task queue, so that it counts within its rate. */
import { workflowInfo } from '@temporalio/workflow';
import type { ReadInput, ReadResult } from '../src/contract/index.js';
import { readReadInput } from '../src/policy/index.js';
import { activities } from './activities.js';
import { orFailure } from './input.js';

/** Asks once. The command starts it with a run timeout, and asks the API directly where no answer comes within that. */
export async function rivyaRead(input: ReadInput): Promise<ReadResult> {
  const { what } = orFailure('', () => readReadInput(input));
  return activities.read(workflowInfo().taskQueue, `ask the API for its ${what}`).rivyaRead({ what });
}
