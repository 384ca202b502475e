/**
 * The files that the API takes as references: their media types and sizes, from its page "Files". `rivyaUpload` calls
 * it before a byte is sent. It looks into no file.
 */
import type { MediaKind } from '../contract/index.js';

const TYPES: Readonly<Record<MediaKind, readonly string[]>> = {
  image: ['image/jpeg', 'image/png', 'image/webp'],
  video: ['video/mp4', 'video/quicktime', 'video/webm'],
  audio: ['audio/mpeg', 'audio/mp4', 'audio/wav', 'audio/aac', 'audio/ogg'],
};

/** Other names of these types. */
const SAME: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'video/x-m4v': 'video/mp4',
  'audio/mp3': 'audio/mpeg',
  'audio/x-m4a': 'audio/mp4',
  'audio/m4a': 'audio/mp4',
  'audio/x-wav': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/vnd.wave': 'audio/wav',
  'audio/opus': 'audio/ogg',
  'application/ogg': 'audio/ogg',
};

// Whether the API counts 10^6 or 2^20 bytes is not published; the larger one refuses nothing that it would take.
const MB = 1024 * 1024;
const LIMITS: Readonly<Record<MediaKind, number>> = { image: 10, video: 50, audio: 10 };
/** Models whose own page names another limit. */
const LIMITS_OF: Readonly<Record<string, Partial<Record<MediaKind, number>>>> = {
  'nano-banana-2': { image: 30 },
  'nano-banana-pro': { image: 30 },
  'happyhorse-1-0': { video: 95 },
  'wan-2-6': { video: 10 },
};

/** Largest reference of a kind in bytes. */
export function referenceLimit(kind: MediaKind, model: string): number {
  return (LIMITS_OF[model]?.[kind] ?? LIMITS[kind]) * MB;
}

/** The one name of a media type, without parameters. */
function plainType(type: string): string {
  const plain = type.split(';')[0]?.trim().toLowerCase() ?? '';
  return SAME[plain] ?? plain;
}

/**
 * The media type under which a file is uploaded.
 * @param seen - The type by the first bytes of the file; null where they do not say it, and only the caller can.
 * @param said - The type that the caller gives, or null.
 */
export function referenceType(
  kind: MediaKind,
  seen: string | null,
  said: string | null,
): { type: string } | { problem: string } {
  const allowed = TYPES[kind].join(', ');
  if (seen === null && said === null) {
    return { problem: `is no file of a known type; for ${kind} the API takes ${allowed}` };
  }
  const plain = plainType(seen ?? said ?? '');
  // Audio and video share this container, and its first bytes do not say which of them it holds.
  const type = kind === 'audio' && plain === 'video/mp4' ? 'audio/mp4' : plain;
  if (!TYPES[kind].includes(type)) return { problem: `is ${plain}; for ${kind} the API takes ${allowed}` };
  if (said !== null && plainType(said) !== type) return { problem: `is ${type}, not ${said} as its mimeType says` };
  return { type };
}
