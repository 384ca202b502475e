import { fileTypeFromBuffer } from 'file-type';
import { z } from 'zod';
import type { MediaKind } from '../contract/index.js';
import type { Call, Holder } from './call.js';
import type { Model } from './catalogue.js';
import { newId, sha256 } from './ids.js';
import { json, Refusal, type Reply } from './replies.js';
import type { State } from './state.js';
import type { LedgerFile } from './types.js';
import { fieldsOf, invalid, publicModel } from './validate.js';

const MB = 1024 * 1024;
const MAX_BYTES: Readonly<Record<MediaKind, number>> = { image: 10 * MB, video: 50 * MB, audio: 10 * MB };
/** The types that the page "Files" lists, by the names that `file-type` gives them. */
const TYPES: Readonly<Record<MediaKind, readonly string[]>> = {
  image: ['image/png', 'image/jpeg', 'image/webp'],
  video: ['video/mp4', 'video/quicktime', 'video/webm'],
  audio: ['audio/mpeg', 'audio/wav', 'audio/x-m4a', 'audio/mp4', 'audio/aac', 'audio/ogg', 'audio/ogg; codecs=opus'],
};
/** Length of every simulated video and tune. */
const DURATION_SECONDS = 4;

const KIND = z.enum(['image', 'video', 'audio']);
const UPLOAD = z.object({
  file: z.instanceof(File),
  kind: KIND,
  model: z.string().optional(),
  client_request_id: z.string().max(128).optional(),
});
const REFERENCE = z.looseObject({ url: z.url(), kind: KIND, durationToken: z.unknown().optional() });
const REFERENCES = z.object({ referenceMediaItems: z.array(REFERENCE).optional() });

/** The Files API: uploads, their metadata and bytes, and the references of a create to them. */
export function openFiles(state: State) {
  const bytesOf = new Map<string, Buffer>();

  async function upload(call: Call, holder: Holder): Promise<Reply> {
    const { file, kind, model: id } = fieldsOf(UPLOAD, await formOf(call));
    const model = id === undefined ? undefined : publicModel(id);
    if (model !== undefined) takesFiles(model);
    const body = Buffer.from(await file.arrayBuffer());
    const mimeType = (await fileTypeFromBuffer(body))?.mime ?? '';
    if (!TYPES[kind].includes(mimeType)) throw invalid(`The file is not of a type that is allowed for "${kind}".`);
    const limit = model?.maxFile?.[kind] ?? MAX_BYTES[kind];
    if (body.length > limit) throw invalid(`The file is larger than the ${limit} bytes that are allowed.`);
    const kept: LedgerFile = {
      id: newId('file'),
      account: holder.account,
      kind,
      mimeType,
      name: file.name,
      bytes: body.length,
      sha256: sha256(body),
      durationToken: kind === 'image' ? null : newId('dur'),
      createdAt: call.now,
    };
    if (state.settings.switches.fileAgain === 'same') {
      const all = [...state.files.values()];
      const same = all.find((other) => other.sha256 === kept.sha256 && isOf(holder, other, kind, call));
      if (same !== undefined) return answer(same, call);
    }
    bytesOf.set(kept.id, body);
    state.files.set(kept.id, kept);
    return answer(kept, call);
  }

  function retrieve(call: Call, { account }: Holder, fileId: string): Reply {
    const file = state.files.get(fileId);
    if (file === undefined || file.account !== account || !lives(file, call)) throw new Refusal('not_found');
    return answer(file, call, 200);
  }

  /** The bytes that the address of a file serves, to anybody. */
  function content(call: Call, fileId: string): Reply {
    const file = state.files.get(fileId);
    const body = bytesOf.get(fileId);
    if (file === undefined || body === undefined || !lives(file, call)) throw new Refusal('not_found');
    return { status: 200, headers: { 'content-type': file.mimeType }, body };
  }

  /** The full field list of a file is not published; these names are the documented ones and their likely neighbours. */
  function answer(file: LedgerFile, call: Call, status: number = state.settings.switches.fileStatus): Reply {
    const { id, kind, name, bytes, mimeType, durationToken, createdAt } = file;
    const url = `${call.baseUrl}/files/${id}`;
    const needed = { url, ...(durationToken !== null && { duration_token: durationToken }) };
    if (state.settings.switches.fileBody === 'short') return json(status, needed);
    const duration = durationToken !== null && { duration_seconds: DURATION_SECONDS };
    const created_at = new Date(createdAt + state.settings.switches.clockOffsetMs).toISOString();
    return json(status, { id, kind, name, mime_type: mimeType, size: bytes, ...needed, ...duration, created_at });
  }

  function lives({ createdAt }: LedgerFile, { now }: Call): boolean {
    return now - createdAt < state.settings.switches.fileLifetimeMs;
  }

  function isOf({ account }: Holder, file: LedgerFile, kind: MediaKind, call: Call): boolean {
    return file.account === account && file.kind === kind && lives(file, call);
  }

  /** Refuses wrong `params.referenceMediaItems`. Addresses of other hosts are taken as they are. */
  function checkReferences(call: Call, holder: Holder, model: Model, params: Readonly<Record<string, unknown>>): void {
    const { referenceMediaItems: items } = fieldsOf(REFERENCES, params);
    if (items !== undefined) takesFiles(model);
    for (const { url, kind, durationToken } of items ?? []) {
      const { origin, pathname } = new URL(url);
      if (origin !== call.baseUrl) continue;
      const file = state.files.get(/^\/files\/([^/]+)$/.exec(pathname)?.[1] ?? '');
      if (file === undefined || !isOf(holder, file, kind, call)) {
        throw invalid(`The reference ${url} is no ${kind} of this account.`);
      }
      const needed = state.settings.switches.durationToken === 'required' && kind !== 'image';
      if ((needed || durationToken !== undefined) && durationToken !== file.durationToken) {
        throw invalid(`The "durationToken" of the reference ${url} must be that of the upload.`);
      }
    }
  }

  return { upload, retrieve, content, checkReferences, clear: () => bytesOf.clear() };
}

async function formOf({ body, contentType }: Call): Promise<object> {
  try {
    // oxlint-disable-next-line typescript/no-deprecated -- It is slow for large forms; this server is for tests.
    return Object.fromEntries(await new Response(body, { headers: { 'content-type': contentType ?? '' } }).formData());
  } catch {
    throw invalid('The body must be a whole multipart/form-data.');
  }
}

function takesFiles({ id, inputs }: Model): void {
  if (!inputs.includes('file')) throw invalid(`The model "${id}" takes no references.`);
}
