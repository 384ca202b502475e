/** A media file on its way from a source: its type by its first bytes, its size and SHA-256 by all of them. */
import { createHash } from 'node:crypto';
import { fileTypeFromBuffer } from 'file-type';
import { rootOf, textOf } from './markup.js';

// What `file-type` needs of a file.
const SIGNATURE_BYTES = 4_100;
/** The types of images, videos and audio. */
export const MEDIA = /^(image|video|audio)\//;
// Drawing programs write long comments and document types before the root element of an SVG.
const PROLOG_BYTES = 65_536;

/** The beginning of a file. */
export interface Seen {
  /** By the signature, because a name, or a host's word, can be wrong; undefined for a signature that is not known. */
  readonly signature: { readonly mime: string; readonly ext: string } | undefined;
  /** Its characters, where it is a text. */
  readonly text: string | null;
  readonly head: Buffer;
  /** True where there is no more of the file. */
  readonly whole: boolean;
}

/**
 * Reads the beginning of a source. A caller that does not read the body to its end must close the source.
 * @param onBytes - Called for each chunk with the bytes so far; what it throws, the reader of the body gets.
 */
export async function readMedia(source: AsyncIterable<Uint8Array>, onBytes?: (bytes: number) => void) {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of source) {
      bytes += chunk.length;
      hash.update(chunk);
      onBytes?.(bytes);
      yield chunk;
    }
  }
  const rest = counted();
  let head = Buffer.alloc(0);
  while (head.length < SIGNATURE_BYTES || (head.length < PROLOG_BYTES && isProlog(head))) {
    const next = await rest.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  async function* body(): AsyncGenerator<Uint8Array, void> {
    yield head;
    yield* rest;
  }
  const seen: Seen = { ...(await signatureAndText(head)), head, whole: head.length < SIGNATURE_BYTES };
  return {
    seen,
    // All bytes, to be read once.
    body: body(),
    // Size and SHA-256 of the bytes that were read; to be called once, at the end.
    digest: () => ({ bytes, sha256: hash.digest('hex') }),
  };
}

async function signatureAndText(head: Buffer): Promise<Pick<Seen, 'signature' | 'text'>> {
  const signature = await fileTypeFromBuffer(head);
  const text = textOf(head);
  if (text === null) return { signature, text };
  if (rootOf(text) === 'svg') return { signature: { mime: 'image/svg+xml', ext: 'svg' }, text };
  // Two letters, or the byte order mark of UTF-16, pass for the signatures of some media.
  return { signature: signature !== undefined && MEDIA.test(signature.mime) ? undefined : signature, text };
}

/** SHA-256 of the first bytes: the same ones however the bytes arrive. */
export function beginningOf({ head }: Pick<Seen, 'head'>): string {
  return createHash('sha256').update(head.subarray(0, SIGNATURE_BYTES)).digest('hex');
}

/** True for a text in markup whose root element has not come yet. */
function isProlog(head: Buffer): boolean {
  const text = textOf(head) ?? '';
  return /^\s*<[?!]/.test(text) && rootOf(text) === null;
}
