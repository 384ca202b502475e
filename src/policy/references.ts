import { isMediaKind } from '../contract/index.js';
import type { MediaKind, ReferenceInput, ReferenceSource, UploadResult } from '../contract/index.js';
import { InvalidInput, integer, onlyKnown, record, text } from './fields.js';

/** A checked reference. */
export interface Reference {
  /** A URL goes to the API as it is; anything else is uploaded. */
  readonly source: { readonly url: string } | ReferenceSource;
  readonly kind: MediaKind;
  readonly name: string | null;
  readonly mimeType: string | null;
  readonly durationSeconds: number | null;
  readonly durationToken: string | null;
}

const FIELDS = [
  'path',
  'uri',
  'url',
  'from',
  'file',
  'kind',
  'name',
  'mimeType',
  'durationSeconds',
  'durationToken',
] as const satisfies readonly (keyof ReferenceInput)[];
const SOURCES = ['path', 'uri', 'url', 'from'] as const;

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
 * Checks the references of an input. The result of an earlier step is reduced at once to what finds its file.
 * @throws InvalidInput with the name of the wrong field.
 */
export function readReferences(value: unknown): readonly Reference[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new InvalidInput('references', 'must be an array');
  if (value.length > REFERENCES) throw new InvalidInput('references', `has more than ${REFERENCES} entries`);
  return value.map((entry, index) => readReference(entry, `references[${index}]`));
}

function readReference(value: unknown, field: string): Reference {
  const fields = record(value, field);
  onlyKnown(fields, FIELDS, `${field}.`);
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
  return {
    source: readSource(fields, field),
    kind: readKind(fields['kind'], `${field}.kind`),
    name: text(fields['name'], `${field}.name`, NAME_LENGTH),
    mimeType: readMimeType(fields['mimeType'], `${field}.mimeType`),
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
  if (/^https?:/i.test(uri))
    throw new InvalidInput(field, 'is the URI of a file in the store; give a web address as url');
  if (!/^[a-z][a-z0-9+.-]*:./i.test(uri)) throw new InvalidInput(field, 'must be a URI, as files[n].uri of a result');
  return uri;
}

/** Never says what the address is: a signature may stand in it. */
function httpsUrl(url: string, field: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed?.protocol !== 'https:') throw new InvalidInput(field, 'must be an HTTPS address');
  if (parsed.username !== '' || parsed.password !== '') {
    throw new InvalidInput(field, 'carries credentials, which Rivya would see; take them out');
  }
  return url;
}

/** Where file `n` of an earlier result is: in the store, or behind its link. */
function readOrigin(value: unknown, n: number, field: string): ReferenceSource {
  const result = record(value, field);
  const files: unknown[] = Array.isArray(result['files']) ? result['files'] : [];
  const urls: unknown[] = Array.isArray(result['urls']) ? result['urls'] : [];
  if (files[n] != null) {
    const stored = record(files[n], `${field}.files[${n}]`);
    const uri = text(stored['uri'], `${field}.files[${n}].uri`, URL_LENGTH);
    const sha256 = text(stored['sha256'], `${field}.files[${n}].sha256`);
    if (uri === null) throw new InvalidInput(`${field}.files[${n}].uri`, 'is missing');
    if (sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new InvalidInput(`${field}.files[${n}].sha256`, 'is no SHA-256 in lower-case hex');
    }
    return { uri: storeUri(uri, `${field}.files[${n}].uri`), ...(sha256 !== null && { sha256 }) };
  }
  const taskId = text(result['taskId'], `${field}.taskId`);
  const link = text(urls[n] ?? undefined, `${field}.urls[${n}]`, URL_LENGTH);
  if (taskId === null || link === null) {
    throw new InvalidInput(field, `has no file ${n}: give the result of a generation that succeeded`);
  }
  if (!URL.canParse(link)) throw new InvalidInput(`${field}.urls[${n}]`, 'is no URL');
  return { taskId, file: n, link };
}

function readKind(value: unknown, field: string): MediaKind {
  if (isMediaKind(value)) return value;
  throw new InvalidInput(field, 'must be "image", "video" or "audio"');
}

function readMimeType(value: unknown, field: string): string | null {
  const type = text(value, field, MIME_LENGTH);
  if (type !== null && !/^[\w.+-]+\/[\w.+-]+$/.test(type)) {
    throw new InvalidInput(field, 'must be a media type, for example "image/png"');
  }
  return type;
}

function readSeconds(value: unknown, field: string): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && value > 0 && value <= LONGEST_SECONDS) return value;
  throw new InvalidInput(field, `must be a number of seconds above 0, at most ${LONGEST_SECONDS}`);
}

/** A reference as two inputs are compared by it: a link of a result may differ, because its task says what it is. */
export function lasting({ source, ...rest }: Reference): object {
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

/**
 * The references as they stand in the body.
 * @param uploads - One for each reference, null for those that go by their URL.
 */
export function mediaItems(references: readonly Reference[], uploads: readonly (UploadResult | null)[]): object[] {
  return references.map((reference, index) => {
    const upload = uploads[index] ?? null;
    if ('url' in reference.source) return mediaItem(reference, reference.source.url, reference);
    if (upload === null) throw new TypeError(`references[${index}] is not uploaded.`);
    const durationSeconds = reference.durationSeconds ?? upload.durationSeconds;
    return mediaItem(reference, upload.url, { durationSeconds, durationToken: upload.durationToken });
  });
}

/** The same by content: an upload can be repeated, and then has another address and token for the same bytes. */
export function contentItems(references: readonly Reference[], uploads: readonly (UploadResult | null)[]): object[] {
  return references.map((reference, index) => {
    const sha256 = uploads[index]?.sha256;
    const url = 'url' in reference.source ? reference.source.url : `sha256:${sha256}`;
    return mediaItem(reference, url, reference);
  });
}
