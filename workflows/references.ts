/**
 * Uploads the references of a generation before its first submit. It guarantees one request body for all attempts: each
 * reference is uploaded once in a run. `GenerationRun` calls it. It submits nothing and pays nothing. Deterministic.
 */
import { FAILURE, type UploadResult } from '../src/contract/index.js';
import { askedOfList, needsOperator, requestWith, type Generation, type SubmitRequest } from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import type { Progress } from './progress.js';

type HoldCall = (end: CallEnd, tries: number) => Promise<unknown>;

/**
 * The request with the address of each reference. The uploads run one after the other, because the rate limit counts each.
 * @param hold - Waits for a person, or fails where the caller wants that.
 */
export async function uploadReferences(
  generation: Generation,
  taskQueue: string,
  progress: Progress,
  hold: HoldCall,
): Promise<SubmitRequest> {
  progress.update({ phase: 'uploading' });
  const { references, submitDeadlineMs, model, body } = generation;
  const { baseKey } = progress.subject;
  const request = { model, asked: askedOfList('task', body), ...(baseKey !== null && { baseKey }) };
  const uploads: (UploadResult | null)[] = [];
  for (const [index, { source, kind, name, mimeType }] of references.entries()) {
    const summary = `upload reference ${index + 1} of ${references.length}`;
    const { rivyaUpload } = activities.upload(taskQueue, submitDeadlineMs, summary);
    for (let tries = 0; uploads.length === index; tries++) {
      try {
        const input = { ...request, field: `references[${index}]`, kind, name, mimeType };
        // Rivya fetches a URL by itself.
        uploads.push('url' in source ? null : await rivyaUpload({ ...input, source }));
      } catch (error) {
        const end = callEnd(error);
        if (end.outOfTime) throw failures.neverAccepted(end, progress.state, generation);
        const personCanHelp = needsOperator(end.code) || end.code === FAILURE.ReferenceUnavailable;
        if (!personCanHelp) throw failures.callFailed(end, progress.state);
        await hold(end, tries);
      }
    }
  }
  return requestWith(body, references, uploads);
}
