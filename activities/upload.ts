import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { activityInfo, Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { InvalidRequest, RivyaApiError, type Secret } from '../src/api/index.js';
import {
  FAILURE,
  type FailureDetails,
  type ReferenceSource,
  type UploadInput,
  type UploadResult,
} from '../src/contract/index.js';
import {
  formatDuration,
  InvalidInput,
  judgeFree,
  referenceLimit,
  referenceType,
  TIMEOUTS,
} from '../src/policy/index.js';
import { SourceError, withoutQuery, type SourceFile } from '../src/storage/index.js';
import { noted, step, type ActivityDependencies } from './context.js';
import { callFailure, finalFailure, nothingKnown, retryIn } from './failure.js';
import { whileMoving } from './moving.js';
import { checkPolicy } from './policy.js';

// About a minute of tries; then a person is told, and asks again when it is there.
const SOURCE_ATTEMPTS = 6;
// A link that does not work may have expired: its task gives another one.
const EXPIRED = new Set([401, 403, 404, 410]);

/**
 * Uploads one reference, unless this account has uploaded the same bytes before. It costs nothing, so whatever is lost is
 * repeated; what cannot be used is refused before a byte leaves.
 */
export async function rivyaUpload(input: UploadInput, dependencies: ActivityDependencies): Promise<UploadResult> {
  // Each part has a limit of its own, by progress; this tells that the Worker lives.
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

  constructor(input: UploadInput, dependencies: ActivityDependencies) {
    this.#input = input;
    this.#dependencies = dependencies;
  }

  async run(): Promise<UploadResult> {
    const { source, model } = this.#input;
    const { spending } = this.#dependencies;
    await checkPolicy(spending, { model, references: [await addressOf(source)] });
    const key = await this.#dependencies.keys.current();
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    // What a step has stored does not change: nothing needs to be read to know it again. A digest
    // is only the word of the input, though: where a policy says what may be uploaded, the file itself has to be there.
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

  async #read(): Promise<SourceFile> {
    const { sources, api, spending } = this.#dependencies;
    const { source, kind, model, mimeType } = this.#input;
    const denials: Error[] = [];
    const limits = {
      maxBytes: referenceLimit(kind, model),
      // A link may lead elsewhere, and a fresh one may lie elsewhere.
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
      const expired = error instanceof SourceError && error.httpStatus !== null && EXPIRED.has(error.httpStatus);
      if (!expired || !('taskId' in source)) throw error;
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
    const request = { ...part, kind, model, key, signal: this.#signal };
    const answer = await step(onStep, 'upload', () => api.uploadFile(request));
    const { url, ...told } = answer;
    if (url === null) {
      throw new InvalidInput(
        fieldOf(field, source),
        'was taken by the API, whose answer names no url for it; give the file as a url of your own, or update rivya-temporal',
      );
    }
    const { sha256, bytes } = file;
    const upload = { ...told, url, sha256, bytes, mimeType, fingerprint: key.fingerprint(), api: api.baseUrl };
    if (uploads !== null) await noted(() => uploads.note(upload, this.#input));
    log.info('uploaded', { field, fileId: upload.fileId, bytes, mimeType });
    return { ...upload, remembered: false };
  }

  /** An upload of these bytes that the API still has, or null. */
  async #remembered(sha256: string, key: Secret): Promise<UploadResult | null> {
    const { api, uploads } = this.#dependencies;
    const upload = (await uploads?.find(key.fingerprint(), sha256, this.#input)) ?? null;
    if (upload === null) return null;
    const remembered = { ...upload, remembered: true };
    if (upload.fileId === null) return remembered;
    try {
      const { url, durationToken } = await api.retrieveFile(upload.fileId, key);
      // An address that changes with time is what it is now.
      return { ...remembered, url: url ?? upload.url, durationToken: durationToken ?? upload.durationToken };
    } catch (error) {
      if (!(error instanceof RivyaApiError) || error.outcome === 'unknown') throw error;
      if (error.code === 'not_found') return null;
      // Older keys cannot look at files.
      if (error.code === 'api_scope_denied') return remembered;
      throw error;
    }
  }
}

function fieldOf(field: string, source: UploadInput['source']): string {
  return `${field}.${'path' in source ? 'path' : 'uri' in source && source.sha256 === undefined ? 'uri' : 'from'}`;
}

/** What a person calls the source, without a signature. */
function nameOf(source: UploadInput['source']): string {
  return 'path' in source ? source.path : 'uri' in source ? source.uri : `file ${source.file} of task ${source.taskId}`;
}

function uploadFailure({ field: place, source }: UploadInput, error: unknown): unknown {
  const { attempt } = activityInfo();
  const field = fieldOf(place, source);
  if (error instanceof SourceError && error.because === 'now') {
    const action = 'Nothing was paid. Make it readable for the Worker, then resume.';
    const details: FailureDetails = { ...nothingKnown(), code: FAILURE.ReferenceUnavailable, field, action };
    return ApplicationFailure.create({
      type: FAILURE.ReferenceUnavailable,
      message: `${field}: ${nameOf(source)} ${error.message}. ${action}`,
      nonRetryable: attempt >= SOURCE_ATTEMPTS,
      details: [details],
      nextRetryDelay: retryIn(),
    });
  }
  if (error instanceof SourceError) return refused(field, `${nameOf(source)} ${error.message}`);
  if (error instanceof InvalidInput) return refused(error.field, error.problem.slice(error.field.length + 2, -1));
  if (error instanceof InvalidRequest) return refused(field, error.message.replace(/\.$/, ''));
  if (!(error instanceof RivyaApiError)) return error;
  const verdict = judgeFree(error);
  if (!verdict.retry && verdict.row.actor === 'caller') {
    return refused(field, `${nameOf(source)} is refused: ${error.message.replace(/\.$/, '')}`, error);
  }
  return callFailure(error, verdict, { attempt, retryInMs: retryIn(error) });
}

/** A reference that only another input mends. */
function refused(field: string, problem: string, said?: RivyaApiError): ApplicationFailure {
  const { httpStatus = null, requestId = null } = said ?? {};
  const action = 'Correct the reference and start again.';
  const message = `${field}: ${problem}. Nothing was paid.`;
  return finalFailure(FAILURE.InvalidInput, message, { field, httpStatus, requestId, action });
}

/** Where a source lies, for the spending policy: without links on the way, and without a query. */
async function addressOf(source: ReferenceSource): Promise<string> {
  if ('uri' in source) return source.uri;
  if ('path' in source) return realpath(source.path).catch(() => path.resolve(source.path));
  return withoutQuery(source.link);
}
