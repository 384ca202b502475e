/**
 * The Activity `rivyaUpload`: uploads one reference, unless this account has uploaded the same bytes before. It
 * guarantees that a file which cannot be used, or which the spending policy forbids, is refused before a byte leaves; and
 * that a wrong model is, unless something was posted for it already.
 * `generateMedia` calls it before its submit. An upload costs nothing, so a lost one is repeated. It never submits.
 */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { activityInfo, Context, log } from '@temporalio/activity';
import type { ApplicationFailure } from '@temporalio/common';
import { InvalidRequest, RivyaApiError, type Secret } from '../src/api/index.js';
import {
  DEAD_LINK,
  FAILURE,
  type ReferenceSource,
  type UploadInput,
  type UploadResult,
} from '../src/contract/index.js';
import { formatDuration, InvalidInput, judgeFree, referenceLimit, referenceType } from '../src/policy/index.js';
import { TIMEOUTS } from '../src/policy/index.js';
import { SourceError, withoutQuery, type SourceFile } from '../src/storage/index.js';
import { refuseWhileClosed } from './closed.js';
import { sideEffect, tryToNote, type ActivityDependencies } from './context.js';
import { activityFailure, callFailure, finalFailure, retryIn } from './failure.js';
import { checkListed } from './listed.js';
import { whileMoving } from './moving.js';
import { checkPolicy } from './policy.js';
import { recall } from './recall.js';
import { taskRecords } from './submit.js';

// About a minute of tries; then the Workflow holds until a person has made the file readable.
const SOURCE_ATTEMPTS = 6;
// About two minutes for a link that does not work, as for a result: each try asks its task for another one.
const LINK_ATTEMPTS = 8;

export async function rivyaUpload(input: UploadInput, dependencies: ActivityDependencies): Promise<UploadResult> {
  // Reading and sending have limits of their own; the heartbeat says only that the Worker lives.
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), TIMEOUTS.heartbeatEvery);
  try {
    return await new Upload(input, dependencies).run();
  } catch (error) {
    context.cancellationSignal.throwIfAborted();
    throw uploadFailure(input, error);
  } finally {
    clearInterval(timer);
  }
}

class Upload {
  readonly #input: UploadInput;
  readonly #dependencies: ActivityDependencies;
  readonly #signal = Context.current().cancellationSignal;
  #mimeType = '';
  /** True where the model is refused now, and a task of it may exist from before. */
  #posted = false;

  constructor(input: UploadInput, dependencies: ActivityDependencies) {
    this.#input = input;
    this.#dependencies = dependencies;
  }

  async run(): Promise<UploadResult> {
    const { source, model, asked } = this.#input;
    const { spending, problemOf, closedBy } = this.#dependencies;
    await checkPolicy(spending, { references: [await addressOf(source)] });
    try {
      await checkPolicy(spending, { model });
      // Here already, because the refusal of a file would be blamed on the file.
      await checkListed(problemOf, asked ?? { paid: 'task', model, paramTypes: {} });
    } catch (refusal) {
      // The submit recalls what was posted before, and judges the model again where it would post anew.
      this.#posted = await this.#wasPosted();
      if (!this.#posted) throw refusal;
    }
    // A POST that may have been sent before is repeated, with its references.
    if (!this.#posted) await refuseWhileClosed(closedBy, () => this.#wasPosted());
    const key = await this.#dependencies.keys.current();
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    // A stored file does not change, so its digest finds an earlier upload without a look at the file. Under a policy on
    // references the file is read all the same: a digest in an input can be made up.
    const believed = (spending?.policy?.references ?? null) === null;
    if ('sha256' in source && source.sha256 !== undefined && believed) {
      const remembered = await this.#remembered(source.sha256, key);
      if (remembered !== null) return remembered;
    }
    const file = await this.#read();
    try {
      return (await this.#remembered(file.sha256, key)) ?? (await this.#send(file, key));
    } finally {
      await file.close();
    }
  }

  /** True where a task of the generation is known, or a POST that may have made one. */
  async #wasPosted(): Promise<boolean> {
    const { baseKey } = this.#input;
    if (baseKey === undefined) return false;
    const recalled = await recall({ ...taskRecords(this.#dependencies.receipts, baseKey), baseKey });
    return recalled !== null && (recalled.answer !== null || recalled.unanswered !== null);
  }

  async #read(): Promise<SourceFile> {
    const { sources, api, spending } = this.#dependencies;
    const { source, kind, model, mimeType } = this.#input;
    const denials: Error[] = [];
    const limits = {
      maxBytes: referenceLimit(kind, model),
      // A link may redirect, and a fresh link may have another address.
      judge: async (address: string): Promise<void> => {
        try {
          await checkPolicy(spending, { references: [address] });
        } catch (error) {
          denials.push(error as Error);
          throw error;
        }
      },
      refuse: (seen: string | null): string | null => {
        const judged = referenceType(kind, seen, mimeType);
        if ('type' in judged) this.#mimeType = judged.type;
        return 'problem' in judged ? judged.problem : null;
      },
    };
    const hung = (): Error =>
      new SourceError(`has given nothing for ${formatDuration(TIMEOUTS.sourceSilence)}: it hangs`, 'now');
    const read = (from: ReferenceSource): Promise<SourceFile> =>
      whileMoving(TIMEOUTS.sourceSilence, hung, ({ signal, moved }) =>
        sources.read(from, { ...limits, signal, onProgress: moved }),
      );
    let file: SourceFile;
    try {
      file = await read(source);
    } catch (error) {
      if (denials[0] !== undefined) throw denials[0];
      if (!isDeadLink(error) || !('taskId' in source)) throw error;
      const link = (await api.retrieveGeneration(source.taskId)).task.urls[source.file];
      if (link === undefined) throw error;
      file = await read({ ...source, link }).catch((reason: unknown) => {
        throw denials[0] ?? reason;
      });
    }
    if ('sha256' in source && source.sha256 !== file.sha256) {
      await file.close();
      throw new SourceError('is not the file any more that the step stored (its SHA-256 is another one)', 'input');
    }
    return file;
  }

  async #send(file: SourceFile, key: Secret): Promise<UploadResult> {
    const { api, uploads, onStep } = this.#dependencies;
    const { kind, model, name, field, source } = this.#input;
    const mimeType = this.#mimeType;
    const part = { fileName: name ?? file.fileName, mimeType, bytes: file.bytes, body: file.stream() };
    // The API would refuse the file for a model that it has no more.
    const request = { ...part, kind, ...(!this.#posted && { model }), key, signal: this.#signal };
    const { url, ...answer } = await sideEffect(onStep, 'upload', () => api.uploadFile(request));
    if (url === null) {
      const problem =
        'was taken by the API, whose answer names no url for it; give the file as a url of your own, or update rivya-temporal';
      throw new InvalidInput(fieldOf(field, source), problem);
    }
    const { sha256, bytes } = file;
    const upload = { ...answer, url, sha256, bytes, mimeType, fingerprint: key.fingerprint(), api: api.baseUrl };
    if (uploads !== null) await tryToNote(() => uploads.noteUpload(upload, this.#input));
    log.info('uploaded', { field, fileId: upload.fileId, bytes, mimeType });
    return { ...upload, remembered: false };
  }

  /** An upload of these bytes that the API still has, or null. */
  async #remembered(sha256: string, key: Secret): Promise<UploadResult | null> {
    const { api, uploads } = this.#dependencies;
    const upload = (await uploads?.findUpload(key.fingerprint(), sha256, this.#input)) ?? null;
    if (upload === null) return null;
    const remembered = { ...upload, remembered: true };
    if (upload.fileId === null) return remembered;
    try {
      const { url, durationToken } = await api.retrieveFile(upload.fileId, key);
      // The address may change with time: the present one counts.
      return { ...remembered, url: url ?? upload.url, durationToken: durationToken ?? upload.durationToken };
    } catch (error) {
      if (!(error instanceof RivyaApiError) || error.outcome === 'unknown') throw error;
      if (error.code === 'not_found') return null;
      // Older keys may not ask for files.
      if (error.code === 'api_scope_denied') return remembered;
      throw error;
    }
  }
}

/** True for a link that may have expired. */
function isDeadLink(error: unknown): boolean {
  return error instanceof SourceError && error.httpStatus !== null && DEAD_LINK.has(error.httpStatus);
}

function fieldOf(field: string, source: UploadInput['source']): string {
  return `${field}.${'path' in source ? 'path' : 'uri' in source && source.sha256 === undefined ? 'uri' : 'from'}`;
}

/** The source in the words of a person, without a signature. */
function nameOf(source: UploadInput['source']): string {
  return 'path' in source ? source.path : 'uri' in source ? source.uri : `file ${source.file} of task ${source.taskId}`;
}

function uploadFailure({ field: place, source }: UploadInput, error: unknown): unknown {
  const { attempt } = activityInfo();
  const field = fieldOf(place, source);
  if (error instanceof SourceError && error.because === 'now') {
    const action = 'Nothing was paid. Make it readable for the Worker, then resume.';
    const problem = `${field}: ${nameOf(source)} ${error.message}.`;
    const retry = {
      nonRetryable: attempt >= (isDeadLink(error) ? LINK_ATTEMPTS : SOURCE_ATTEMPTS),
      nextRetryDelay: retryIn(),
    };
    return activityFailure(FAILURE.ReferenceUnavailable, problem, { field, action }, retry);
  }
  if (error instanceof SourceError) return referenceRefused(field, `${nameOf(source)} ${error.message}`);
  if (error instanceof InvalidInput)
    return referenceRefused(error.field, error.problem.slice(error.field.length + 2, -1));
  if (error instanceof InvalidRequest) return referenceRefused(field, error.message.replace(/\.$/, ''));
  if (!(error instanceof RivyaApiError)) return error;
  const verdict = judgeFree(error);
  if (!verdict.retry && verdict.row.actor === 'caller') {
    return referenceRefused(field, `${nameOf(source)} is refused: ${error.message.replace(/\.$/, '')}`, error);
  }
  return callFailure(error, verdict, {});
}

/** A reference that no repetition makes usable. */
function referenceRefused(field: string, problem: string, error?: RivyaApiError): ApplicationFailure {
  const { httpStatus = null, requestId = null } = error ?? {};
  // The API judges a file by the model, too.
  const action =
    error === undefined
      ? 'Correct the reference and start again.'
      : 'Correct the reference, or choose a model that takes it, and start again.';
  const message = `${field}: ${problem}. Nothing was paid.`;
  return finalFailure(FAILURE.InvalidInput, message, { field, httpStatus, requestId, action });
}

/** The place of a source, for the spending policy: with symbolic links resolved, and without a query. */
async function addressOf(source: ReferenceSource): Promise<string> {
  if ('uri' in source) return source.uri;
  if ('path' in source) return realpath(source.path).catch(() => path.resolve(source.path));
  return withoutQuery(source.link);
}
