import { Context, log } from '@temporalio/activity';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import type { RivyaActivities, UploadInput, UploadResult } from '../src/contract/index.js';
import { activityDecoder, decode, scheduledBy, type Decoder, type Event } from './history.js';
import { cannotList, queryFor, READABLE_EVENTS, RUNS } from './recall.js';

const UPLOAD: keyof RivyaActivities = 'rivyaUpload';

/** An upload in the history of this Workflow ID. */
export interface PastUpload {
  readonly input: UploadInput;
  readonly result: UploadResult;
}

/** What this run and the others of its Workflow ID have uploaded, newest run first. */
export async function pastUploads(): Promise<readonly PastUpload[]> {
  const { client, info } = Context.current();
  const query = info.workflowExecution === undefined ? null : queryFor(info.workflowExecution.workflowId);
  if (info.workflowExecution === undefined || query === null) return [];
  const { workflowId, runId } = info.workflowExecution;
  const own = await client.workflow.getHandle(workflowId, runId).describe();
  const uploads = await uploadsOf(client, own);
  try {
    let seen = 0;
    for await (const run of client.workflow.list({ query })) {
      if (run.workflowId !== workflowId || run.runId === runId) continue;
      uploads.push(...(await uploadsOf(client, run)));
      seen += 1;
      if (seen === RUNS) break;
    }
  } catch (error) {
    const reason = cannotList(error);
    if (reason === null) throw error;
    log.warn('earlier runs cannot be listed, so uploads of theirs are not looked up', { reason });
  }
  return uploads;
}

async function uploadsOf(
  client: Client,
  { workflowId, runId, historyLength }: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'historyLength'>,
): Promise<PastUpload[]> {
  if (historyLength > READABLE_EVENTS) return [];
  const { events = [] } = (await client.workflow.getHandle(workflowId, runId).fetchHistory()) as { events?: Event[] };
  const { namespace, loadedDataConverter: converter } = client.options;
  // By the event that scheduled it, with its ID: a codec may bind payloads to their Activity.
  const inputs = new Map<string, { input: UploadInput; decoder: Decoder }>();
  const uploads: PastUpload[] = [];
  for (const event of events) {
    const { activityTaskScheduledEventAttributes: scheduled, activityTaskCompletedEventAttributes: completed } = event;
    if (scheduled?.activityType?.name === UPLOAD) {
      const decoder = activityDecoder({ converter, namespace, workflowId, activityId: scheduled.activityId });
      const input = await decode<UploadInput>(decoder, scheduled.input?.payloads);
      if (input !== null) inputs.set(String(event.eventId), { input, decoder });
    }
    const begun = completed == null ? undefined : inputs.get(String(scheduledBy(event)));
    if (begun === undefined) continue;
    const result = await decode<UploadResult>(begun.decoder, completed?.result?.payloads);
    if (result !== null) uploads.push({ input: begun.input, result });
  }
  return uploads.toReversed();
}
