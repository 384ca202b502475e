import { randomBytes } from 'node:crypto';
import { isMediaKind, type MediaKind } from '../contract/index.js';
import type { ApiSettings, Call, Holder } from './call.js';
import { findModel, type Model } from './catalogue.js';
import { parseMultipart } from './multipart.js';
import { json, Refusal, type Reply } from './replies.js';
import { sha256, type State, type UploadedFile } from './state.js';
import { invalid } from './validate.js';

const MB = 1024 * 1024;
const MAX_BYTES: Readonly<Record<MediaKind, number>> = { image: 10 * MB, video: 50 * MB, audio: 10 * MB };
/** Length of every simulated video and tune. */
const DURATION_SECONDS = 4;
const CLIENT_REQUEST_ID_LENGTH = 128;

/** The start of a file says what it is; its name does not. Only what the page "Files" lists. */
function signature(body: Buffer): { kind: MediaKind; mimeType: string } | null {
  const start = body.subarray(0, 16).toString('latin1');
  const brand = start.slice(8, 12);
  if (start.startsWith('\x89PNG')) return { kind: 'image', mimeType: 'image/png' };
  if (start.startsWith('\xff\xd8\xff')) return { kind: 'image', mimeType: 'image/jpeg' };
  if (start.startsWith('RIFF') && brand === 'WEBP') return { kind: 'image', mimeType: 'image/webp' };
  if (start.startsWith('RIFF') && brand === 'WAVE') return { kind: 'audio', mimeType: 'audio/wav' };
  if (start.startsWith('OggS')) return { kind: 'audio', mimeType: 'audio/ogg' };
  if (start.startsWith('\x1aE\xdf\xa3')) return { kind: 'video', mimeType: 'video/webm' };
  if (start.slice(4, 8) === 'ftyp') {
    if (brand.startsWith('M4A')) return { kind: 'audio', mimeType: 'audio/mp4' };
    return { kind: 'video', mimeType: brand === 'qt  ' ? 'video/quicktime' : 'video/mp4' };
  }
  if (start.startsWith('ID3') || /^\xff[\xfb\xf3\xf2]/.test(start)) return { kind: 'audio', mimeType: 'audio/mpeg' };
  return /^\xff[\xf1\xf9]/.test(start) ? { kind: 'audio', mimeType: 'audio/aac' } : null;
}

/** The Files API: uploads, their metadata and bytes, and the references of a create to them. */
export class Files {
  readonly #state: State;
  readonly #settings: ApiSettings;
  readonly #bytes = new Map<string, Buffer>();

  constructor(state: State, settings: ApiSettings) {
    this.#state = state;
    this.#settings = settings;
  }

  upload(call: Call, holder: Holder): Reply {
    const parts = parseMultipart(call.body, call.contentType);
    if (parts === null) throw invalid('The body must be a whole multipart/form-data.');
    const field = (name: string): string | undefined => parts.find((part) => part.name === name)?.body.toString();
    const { fileName, body } = parts.find((part) => part.name === 'file') ?? {};
    const kind = field('kind');
    if (fileName === undefined || body === undefined) throw invalid('The field "file" is missing.');
    if (!isMediaKind(kind)) throw invalid('The field "kind" must be image, video or audio.');
    if ((field('client_request_id') ?? '').length > CLIENT_REQUEST_ID_LENGTH) {
      throw invalid(`The field "client_request_id" is longer than ${CLIENT_REQUEST_ID_LENGTH} characters.`);
    }
    const id = field('model');
    const model = id === undefined ? undefined : findModel(id);
    if (id !== undefined && model === undefined) throw invalid('The field "model" must be the ID of a public model.');
    if (model !== undefined) takesFiles(model);
    const seen = signature(body);
    if (seen?.kind !== kind) throw invalid(`The file is not of a type that is allowed for "${kind}".`);
    const limit = model?.maxFile?.[kind] ?? MAX_BYTES[kind];
    if (body.length > limit) throw invalid(`The file is larger than the ${limit} bytes that are allowed.`);
    return this.#answer(this.#keep(body, fileName, { ...seen, call, holder }), call);
  }

  #keep(
    body: Buffer,
    name: string,
    { kind, mimeType, call, holder }: { kind: MediaKind; mimeType: string; call: Call; holder: Holder },
  ): UploadedFile {
    const digest = sha256(body);
    const known = this.#state.files().find((file) => file.sha256 === digest && this.#isOf(holder, file, kind, call));
    if (known !== undefined && this.#settings.switches.fileAgain === 'same') return known;
    const file: UploadedFile = {
      id: `file_${randomBytes(10).toString('hex')}`,
      account: holder.account,
      kind,
      mimeType,
      name,
      bytes: body.length,
      sha256: digest,
      durationToken: kind === 'image' ? null : `dur_${randomBytes(8).toString('hex')}`,
      createdAt: call.now,
    };
    this.#bytes.set(file.id, Buffer.from(body));
    this.#state.addFile(file);
    return file;
  }

  retrieve(call: Call, { account }: Holder, fileId: string): Reply {
    const file = this.#state.file(fileId);
    if (file === undefined || file.account !== account || !this.#lives(file, call)) throw new Refusal('not_found');
    return this.#answer(file, call, 200);
  }

  /** What its address serves, to anybody. */
  content(call: Call, fileId: string): Reply {
    const file = this.#state.file(fileId);
    const body = this.#bytes.get(fileId);
    if (file === undefined || body === undefined || !this.#lives(file, call)) throw new Refusal('not_found');
    return { status: 200, headers: { 'content-type': file.mimeType }, body };
  }

  clear(): void {
    this.#bytes.clear();
  }

  /** The full field list of a file is not published; these names are the documented ones and their likely neighbours. */
  #answer(file: UploadedFile, call: Call, status: number = this.#settings.switches.fileStatus): Reply {
    const { id, kind, name, bytes, mimeType, durationToken, createdAt } = file;
    const needed = { url: urlOf(file, call), ...(durationToken !== null && { duration_token: durationToken }) };
    if (this.#settings.switches.fileBody === 'short') return json(status, needed);
    const duration = durationToken !== null && { duration_seconds: DURATION_SECONDS };
    const created_at = new Date(createdAt + this.#settings.switches.clockOffsetMs).toISOString();
    return json(status, { id, kind, name, mime_type: mimeType, size: bytes, ...needed, ...duration, created_at });
  }

  #lives({ createdAt }: UploadedFile, { now }: Call): boolean {
    return now - createdAt < this.#settings.switches.fileLifetimeMs;
  }

  #isOf({ account }: Holder, file: UploadedFile, kind: MediaKind, call: Call): boolean {
    return file.account === account && file.kind === kind && this.#lives(file, call);
  }

  /** Refuses wrong `params.referenceMediaItems`. Addresses of other hosts are taken as they are. */
  checkReferences(call: Call, holder: Holder, model: Model, params: Readonly<Record<string, unknown>>): void {
    const items = params['referenceMediaItems'];
    if (items === undefined) return;
    if (!Array.isArray(items)) throw invalid('The field "params.referenceMediaItems" must be an array.');
    takesFiles(model);
    for (const [index, item] of (items as unknown[]).entries()) this.#checkReference(call, holder, index, item);
  }

  #checkReference(call: Call, holder: Holder, index: number, item: unknown): void {
    const place = `params.referenceMediaItems[${index}]`;
    const { url, kind, durationToken } = (item ?? {}) as Record<string, unknown>;
    if (typeof url !== 'string' || !URL.canParse(url)) throw invalid(`The field "${place}.url" must be a URL.`);
    if (!isMediaKind(kind)) throw invalid(`The field "${place}.kind" must be a kind of media.`);
    const fileId = new URL(url).origin === call.baseUrl ? /^\/files\/([^/]+)$/.exec(new URL(url).pathname)?.[1] : null;
    const file = fileId == null ? undefined : this.#state.file(fileId);
    const there = file !== undefined && this.#isOf(holder, file, kind, call);
    if (fileId !== null && !there) throw invalid(`The field "${place}.url" is no ${kind} of this account.`);
    const needed = this.#settings.switches.durationToken === 'required' && kind !== 'image';
    const given = durationToken !== undefined;
    if ((needed || given) && file !== undefined && durationToken !== file.durationToken) {
      throw invalid(`The field "${place}.durationToken" must be that of the upload.`);
    }
  }
}

function takesFiles({ id, inputs }: Model): void {
  if (!inputs.includes('file')) throw invalid(`The model "${id}" takes no references.`);
}

function urlOf({ id }: UploadedFile, { baseUrl }: Call): string {
  return `${baseUrl}/files/${id}`;
}
