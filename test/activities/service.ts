/** What the Service says to an Activity on its own: heartbeats, the runs of its Workflow ID, and what each has in its memo. */
import { ServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defaultActivityInfo } from '@temporalio/testing/lib/mocking-activity-environment.js';
import { MEMO_FIELD, type GenerationMemo } from '../../src/contract/index.js';
import { memoOf, stateAtStart } from '../../src/policy/index.js';

export const { workflowId: WORKFLOW_ID, runId: RUN_ID } = defaultActivityInfo.workflowExecution!;

/** An earlier run of the same Workflow ID. */
export interface EarlierRun {
  readonly runId: string;
  /** Default: none. `gone`: its retention has just passed. `unreadable`: the Service does not answer. */
  readonly memo?: GenerationMemo | 'gone' | 'unreadable';
}

export interface Service {
  readonly client: Client;
  /** Details of the heartbeats, in their order. */
  readonly beats: unknown[];
  /** Runs whose memo was asked for, in their order. */
  readonly asked: string[];
}

/** @param runs - From the newest to the oldest; null: the server has no list of runs. */
export function fakeService({
  acknowledge = async () => undefined,
  runs = [],
}: { acknowledge?: () => Promise<void>; runs?: readonly EarlierRun[] | null } = {}): Service {
  const beats: unknown[] = [];
  const asked: string[] = [];
  const all = [{ runId: RUN_ID }, ...(runs ?? [])];
  const describe = async (runId: string): Promise<object> => {
    asked.push(runId);
    const { memo: known } = runs?.find((run) => run.runId === runId) ?? {};
    if (known === 'gone') throw new WorkflowNotFoundError('gone', WORKFLOW_ID, runId);
    if (known === 'unreadable') throw new ServiceError('the Service is busy');
    return { memo: known === undefined ? {} : { [MEMO_FIELD]: known } };
  };
  const listWorkflowExecutions = async (): Promise<object> => {
    if (runs === null) throw Object.assign(new Error('unimplemented'), { code: 12, details: '', metadata: {} });
    const executions = all.map(({ runId }, age) => ({
      execution: { workflowId: WORKFLOW_ID, runId },
      startTime: { seconds: 1_000 - age, nanos: 0 },
    }));
    // In no order.
    return { executions: executions.toReversed(), nextPageToken: new Uint8Array() };
  };
  const client = {
    options: { namespace: 'default' },
    activity: {
      heartbeat: async (_token: Uint8Array, details: unknown) => {
        beats.push(details);
        await acknowledge();
      },
    },
    workflow: { getHandle: (_: string, runId: string) => ({ describe: () => describe(runId) }) },
    workflowService: { listWorkflowExecutions },
    withDeadline: (_deadline: number, work: () => unknown) => work(),
    // The SDK ties calls that an Activity makes to its cancellation.
    withAbortSignal: (_signal: AbortSignal, work: () => unknown) => work(),
  } as unknown as Client;
  return { client, beats, asked };
}

/** The memo of a run that stands here. */
export function memo(change: Partial<GenerationMemo> = {}, baseKey = 'fox-1'): GenerationMemo {
  const state = stateAtStart({ model: 'z-image', baseKey });
  return { ...memoOf(state, { baseKey, labels: {}, bodyDigest: 'd1' }), ...change };
}
