/**
 * The references of an input: what is allowed, and how they stand in the request. It guarantees that a wrong reference
 * is refused by the name of its field, and that no message repeats an address, in which a signature may stand. Input
 * checks and `requestWith` call it. It opens no file.
 */
import { isMediaKind } from '../contract/index.js';
import type { MediaKind, ReferenceInput, ReferenceSource, UploadResult } from '../contract/index.js';
import { InvalidInput, integer, onlyKnown, record, text } from './fields.js';

export interface Reference {
  /** A URL goes to the API as it is; anything else is uploaded. */
  readonly source: { readonly url: string } | ReferenceSource;
  readonly kind: MediaKind;
  readonly name: string | null;
  readonly mimeType: string | null;
  readonly durationSeconds: number | null;
  readonly durationToken: string | null;
}

type Field = keyof ReferenceInput;
const SOURCES: readonly Field[] = ['path', 'uri', 'url', 'from'];
const DETAILS: readonly Field[] = ['file', 'kind', 'name', 'mimeType', 'durationSeconds', 'durationToken'];

// The model that takes most takes 16.
const REFERENCES = 20;
// Linux takes 4,096 bytes for a path; servers take about 8,000 characters for a URL.
const PATH_LENGTH = 4_096;
const URL_LENGTH = 8_192;
const NAME_LENGTH = 255;
const MIME_LENGTH = 128;
// A day; the longest media that any page speaks of lasts minutes.
const LONGEST_SECONDS = 86_400;
// A task has a handful of results.
const LAST_FILE = 99;

/**
 * Checks the references of an input. Of the result of an earlier step only the place of its file is kept.
 * @throws InvalidInput
 */
export function readReferences(value: unknown): readonly Reference[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new InvalidInput('references', 'must be an array');
  if (value.length > REFERENCES) throw new InvalidInput('references', `has more than ${REFERENCES} entries`);
  return value.map((entry, index) => readReference(entry, `references[${index}]`));
}

function readReference(value: unknown, field: string): Reference {
  const fields = record(value, field);
  onlyKnown(fields, [...SOURCES, ...DETAILS], `${field}.`);
  const given = SOURCES.filter((name) => fields[name] !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`;
    throw new InvalidInput(field, `needs exactly one of ${SOURCES.join(', ')}; ${found}`);
  }
  if (fields['file'] !== undefined && fields['from'] === undefined) {
    throw new InvalidInput(`${field}.file`, 'names a file of from, so it goes with from only');
  }
  const durationToken = text(fields['durationToken'], `${field}.durationToken`, URL_LENGTH);
  if (durationToken !== null && fields['url'] === undefined) {
    throw new InvalidInput(`${field}.durationToken`, 'belongs to an upload of your own, so it goes with url only');
  }
  const source = readSource(fields, field);
  const { kind } = fields;
  if (!isMediaKind(kind)) throw new InvalidInput(`${field}.kind`, 'must be "image", "video" or "audio"');
  const name = text(fields['name'], `${field}.name`, NAME_LENGTH);
  const mimeType = text(fields['mimeType'], `${field}.mimeType`, MIME_LENGTH);
  if (mimeType !== null && !/^[\w.+-]+\/[\w.+-]+$/.test(mimeType)) {
    throw new InvalidInput(`${field}.mimeType`, 'must be a media type, for example "image/png"');
  }
  return {
    source,
    kind,
    name,
    mimeType,
    durationSeconds: readSeconds(fields['durationSeconds'], `${field}.durationSeconds`),
    durationToken,
  };
}

function readSource(fields: Record<string, unknown>, field: string): Reference['source'] {
  const path = text(fields['path'], `${field}.path`, PATH_LENGTH);
  if (path !== null) {
    if (/^(\/|[A-Za-z]:[\\/]|\\\\)/.test(path)) return { path };
    throw new InvalidInput(`${field}.path`, 'must be an absolute path, as it is opened on the Worker');
  }
  const uri = text(fields['uri'], `${field}.uri`, URL_LENGTH);
  if (uri !== null) return { uri: storeUri(uri, `${field}.uri`) };
  const url = text(fields['url'], `${field}.url`, URL_LENGTH);
  if (url !== null) return { url: httpsUrl(url, `${field}.url`) };
  return readOrigin(fields['from'], integer(fields['file'], `${field}.file`, LAST_FILE, 0) ?? 0, `${field}.from`);
}

function storeUri(uri: string, field: string): string {
  const web = /^https?:/i.test(uri);
  if (web) throw new InvalidInput(field, 'is the URI of a file in the store; give a web address as url');
  if (!/^[a-z][a-z0-9+.-]*:./i.test(uri)) throw new InvalidInput(field, 'must be a URI, as files[n].uri of a result');
  return uri;
}

function httpsUrl(url: string, field: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed?.protocol !== 'https:') throw new InvalidInput(field, 'must be an HTTPS address');
  if (parsed.username !== '' || parsed.password !== '') {
    throw new InvalidInput(field, 'carries credentials, which Rivya would see; take them out');
  }
  return url;
}

/** The place of file `n` of an earlier result: in the store, or behind its link. */
function readOrigin(value: unknown, n: number, field: string): ReferenceSource {
  const result = record(value, field);
  const files: unknown[] = Array.isArray(result['files']) ? result['files'] : [];
  const urls: unknown[] = Array.isArray(result['urls']) ? result['urls'] : [];
  if (files[n] != null) {
    const file = `${field}.files[${n}]`;
    const stored = record(files[n], file);
    const uri = text(stored['uri'], `${file}.uri`, URL_LENGTH);
    const sha256 = text(stored['sha256'], `${file}.sha256`);
    if (uri === null) throw new InvalidInput(`${file}.uri`, 'is missing');
    const wrong = sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256);
    if (wrong) throw new InvalidInput(`${file}.sha256`, 'is no SHA-256 in lower-case hex');
    return { uri: storeUri(uri, `${file}.uri`), ...(sha256 !== null && { sha256 }) };
  }
  const taskId = text(result['taskId'], `${field}.taskId`);
  const link = text(urls[n] ?? undefined, `${field}.urls[${n}]`, URL_LENGTH);
  if (taskId === null || link === null) {
    throw new InvalidInput(field, `has no file ${n}: give the result of a generation that succeeded`);
  }
  if (!URL.canParse(link)) throw new InvalidInput(`${field}.urls[${n}]`, 'is no URL');
  return { taskId, file: n, link };
}

function readSeconds(value: unknown, field: string): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && value > 0 && value <= LONGEST_SECONDS) return value;
  throw new InvalidInput(field, `must be a number of seconds above 0, at most ${LONGEST_SECONDS}`);
}

/** A reference for the identity of an input. The link of a result does not count: its task identifies the file. */
export function referenceIdentity({ source, ...rest }: Reference): object {
  return { ...rest, source: 'taskId' in source ? { taskId: source.taskId, file: source.file } : source };
}

/** An entry of `params.referenceMediaItems`. */
function mediaItem(reference: Reference, url: string, duration: Pick<Reference, 'durationSeconds' | 'durationToken'>) {
  const { kind, name, mimeType } = reference;
  const { durationSeconds, durationToken } = duration;
  return {
    url,
    kind,
    ...(name !== null && { name }),
    ...(mimeType !== null && { mimeType }),
    ...(durationSeconds !== null && { durationSeconds }),
    ...(durationToken !== null && { durationToken }),
  };
}

/** The references in a request body. */
export function mediaItems(references: readonly Reference[], uploads: readonly (UploadResult | null)[]): object[] {
  return references.map((reference, index) => {
    const upload = uploads[index] ?? null;
    if ('url' in reference.source) return mediaItem(reference, reference.source.url, reference);
    if (upload === null) throw new TypeError(`references[${index}] is not uploaded.`);
    const durationSeconds = reference.durationSeconds ?? upload.durationSeconds;
    return mediaItem(reference, upload.url, { durationSeconds, durationToken: upload.durationToken });
  });
}

/** The references by their content: an upload that is repeated has another address and token for the same bytes. */
export function contentItems(references: readonly Reference[], uploads: readonly (UploadResult | null)[]): object[] {
  return references.map((reference, index) => {
    const sha256 = uploads[index]?.sha256;
    const url = 'url' in reference.source ? reference.source.url : `sha256:${sha256}`;
    return mediaItem(reference, url, reference);
  });
}
