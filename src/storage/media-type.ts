/**
 * The type of a result, by its first bytes and by the word of its host. A known signature counts; where there is none, the host
 * decides between image, video and audio. A text is none of them, whatever the host says: pages and errors are texts.
 */
import path from 'node:path';
import { MEDIA, type Seen } from './media.js';

export interface MediaType {
  /** Of a type by the word of the host with its parameters: without its rate, raw audio cannot be played. */
  readonly contentType: string;
  readonly ext: string;
}

// Audio without a signature. Any bytes may begin such a file, also those of a short signature.
const RAW = /^audio\/(x-)?(pcm|raw|l(8|16|20|24)|basic|(mu|u|a)-?law|pcm[ua])$/;
// Types whose signature has two or three bytes, or four that are small numbers. All others are no chance.
const SHORT = new Set([
  'application/gzip',
  'application/postscript',
  'application/x-apple-diskimage',
  'application/x-arj',
  'application/x-bzip2',
  'application/x-compress',
  'application/x-cpio',
  'application/x-msdownload',
  'audio/aac',
  'audio/mpeg',
  'audio/vnd.dolby.dd-raw',
  'image/bmp',
  'image/jls',
  'image/jpeg',
  'image/jxl',
  'image/x-icon',
  'video/mp2t',
]);
// Types of a page. It may begin with any element, also with that of an SVG.
const PAGE = /^(text\/html|application\/xhtml\+xml)$/;
// Signatures of containers that do not say what is inside.
const EITHER = new Set(['application/ogg', 'application/mxf', 'application/vnd.ms-asf']);
// Endings that differ from the second part of the type.
const ENDINGS: Readonly<Record<string, string>> = {
  'audio/basic': 'ulaw',
  'audio/mp4': 'm4a',
  'audio/mpeg': 'mp3',
  'video/mpeg': 'mpg',
  'video/ogg': 'ogv',
  'video/quicktime': 'mov',
  'text/plain': 'txt',
};
const LONGEST = 200;

/** The type under which a result is stored; null for what is no image, video or audio. */
export function mediaType(seen: Seen, said: string | null, link: string): MediaType | null {
  const { signature, text, head } = seen;
  const host = essenceOf(said);
  if (text !== null) return signature?.mime === SVG && !PAGE.test(host) ? { contentType: SVG, ext: 'svg' } : null;
  // An MP3 with a title begins with it.
  const isShort = signature !== undefined && SHORT.has(signature.mime) && head.toString('latin1', 0, 3) !== 'ID3';
  const isRaw = RAW.test(host) && isShort;
  if (signature !== undefined && MEDIA.test(signature.mime) && !isRaw) {
    return { contentType: signature.mime, ext: signature.ext };
  }
  const isOpen = isRaw || signature === undefined || EITHER.has(signature.mime);
  return MEDIA.test(host) && isOpen ? typeOf(host, said, link) : null;
}

/** The type of JSON that was ordered beside media, such as timestamps; null for any other body. @param n - From 1. */
export function jsonBeside(seen: Seen, said: string | null, link: string, n: number): MediaType | null {
  // The list of results says so by a link to a JSON file that is not the primary one.
  const isListed = n > 1 && /\.json$/i.test(new URL(link).pathname);
  const isOrdered = isListed && essenceOf(said) === JSON_TYPE && isJson(seen) && !isJsonError(seen);
  return isOrdered ? typeOf(JSON_TYPE, said, link) : null;
}

/** The type by the bytes; where they are of no known type, by the word of the host, or null. */
export function plainType({ signature, ...seen }: Seen, said: string | null): string | null {
  const host = essenceOf(said);
  // A page that begins with the element of an SVG.
  if (signature?.mime === SVG && PAGE.test(host)) return host;
  if (signature !== undefined) return signature.mime;
  if (seen.text === null) return host || null;
  if (isJson(seen)) return JSON_TYPE;
  if (/^text\/|[/+]xml$/.test(host)) return host;
  return /^\s*</.test(seen.text) ? 'text/html' : 'text/plain';
}

const JSON_TYPE = 'application/json';
const SVG = 'image/svg+xml';

/** The media type in a header, without parameters; empty where there is none. */
function essenceOf(said: string | null): string {
  return /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)\s*(;|$)/.exec(said ?? '')?.[1]?.toLowerCase() ?? '';
}

/** A type with the parameters that the host gives it. */
export function typeOf(type: string, said: string | null, link: string): MediaType {
  const whole = said?.trim() ?? '';
  const isPlain = essenceOf(said) === type && whole.length <= LONGEST && /^[ -~]+$/.test(whole);
  return { contentType: isPlain ? whole : type, ext: endingOf(type, link) };
}

/** The ending of the name of a file. */
function endingOf(type: string, link: string): string {
  const isSafe = (ending: string): boolean => /^[a-z0-9]{1,8}$/.test(ending);
  // Beside the file lies its sidecar `<n>.json`.
  if (type === JSON_TYPE) return 'data.json';
  if (RAW.test(type) && /(pcm|raw|l\d+)$/.test(type)) return 'pcm';
  const second = type.replace(/^.*\/(x-|vnd\.)?/, '').replace('-', '');
  const known = ENDINGS[type] ?? (isSafe(second) ? second : undefined);
  if (known !== undefined) return known;
  const ofLink = path.posix.extname(new URL(link).pathname).slice(1).toLowerCase();
  return isSafe(ofLink) && ofLink !== 'json' ? ofLink : 'bin';
}

function isJson({ text, whole }: Pick<Seen, 'text' | 'whole'>): boolean {
  if (text === null || !/^\s*[[{]/.test(text)) return false;
  if (!whole) return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** True for JSON that says that something went wrong, by a field at its top. */
function isJsonError({ text, whole }: Pick<Seen, 'text' | 'whole'>): boolean {
  if (!whole) return /^\s*\{\s*"((errors?|detail|message)"|(success|ok)"\s*:\s*false)/i.test(text ?? '');
  return Object.entries(JSON.parse(text ?? '{}') as object).some(saysError);
}

function saysError([name, value]: [name: string, value: unknown]): boolean {
  if (/^(success|ok)$/i.test(name)) return value === false;
  if (/^status(_?code)?$/i.test(name)) return Number(value) >= 400 || /^(error|fail)/i.test(String(value));
  if (/^code$/i.test(name)) return Number(value) >= 400 || /^[a-z]\w{3,}/i.test(String(value));
  return /^(errors?|detail|message)$/i.test(name) && Boolean(value);
}
