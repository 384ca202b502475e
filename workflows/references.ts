/** Uploads the references of a generation before its submit. Deterministic. */
import { FAILURE, type UploadResult } from '../src/contract/index.js';
import {
  needsOperator,
  requestWith,
  type Generation,
  type Reference,
  type SubmitRequest,
} from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import type { Progress } from './progress.js';

interface Host {
  readonly taskQueue: string;
  readonly progress: Progress;
  /** Holds, or fails where the caller wants that. */
  readonly hold: (end: CallEnd, tries: number) => Promise<unknown>;
}

/** The request with every reference uploaded, or as its URL. One after the other: a call each is what the limit counts. */
export async function uploadReferences(generation: Generation, host: Host): Promise<SubmitRequest> {
  host.progress.update({ phase: 'uploading' });
  const uploads: (UploadResult | null)[] = [];
  for (const [index, reference] of generation.references.entries()) {
    uploads.push(await upload(generation, reference, index, host));
  }
  return requestWith(generation.body, generation.references, uploads);
}

async function upload(
  generation: Generation,
  { source, kind, name, mimeType }: Reference,
  index: number,
  { taskQueue, progress, hold }: Host,
): Promise<UploadResult | null> {
  if ('url' in source) return null;
  const { model, submitDeadlineMs } = generation;
  const summary = `upload reference ${index + 1} of ${generation.references.length}`;
  for (let tries = 0; ; tries++) {
    let end: CallEnd;
    try {
      const { rivyaUpload } = activities.upload(taskQueue, submitDeadlineMs, summary);
      return await rivyaUpload({ field: `references[${index}]`, source, kind, model, name, mimeType });
    } catch (error) {
      end = callEnd(error);
    }
    if (end.outOfTime) throw failures.neverAccepted(end, progress.state, generation);
    const mendable = needsOperator(end.code) || end.code === FAILURE.ReferenceUnavailable;
    if (!mendable) throw failures.callFailed(end, progress.state);
    await hold(end, tries);
  }
}
