/**
 * The codings of a body (`Content-Encoding`): object stores send what was uploaded with one, whatever was asked for.
 * `download` calls it.
 */
import { pipeline, Readable, type Duplex } from 'node:stream';
import * as zlib from 'node:zlib';
import { reasonOf, ResultError } from './store.js';

/** A decoder for a body that begins with these bytes; null where they are not those of the coding. */
type Decoder = (head: Buffer) => Duplex | null;

const gunzip: Decoder = (head) => (head[0] === 0x1f && head[1] === 0x8b ? zlib.createGunzip() : null);
// Only newer versions of Node have it.
const { createZstdDecompress: zstd } = zlib as { createZstdDecompress?: () => Duplex };
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  // Some hosts leave out the header of zlib, as browsers take it.
  deflate: ([first = 0]) => ((first & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw()),
  br: () => zlib.createBrotliDecompress(),
  ...(zstd && { zstd: (head: Buffer) => (head.toString('latin1', 0, 2) === '(\xb5' ? zstd() : null) }),
};
// The other codings that are registered. Any other word names none, and stores repeat what they were given: `utf-8`, `base64`.
const OTHERS = new Set(['zstd', 'compress', 'x-compress', 'dcb', 'dcz', 'exi', 'pack200-gzip', 'aes128gcm']);
// Nobody codes a file more often, and each layer can multiply the size.
const MOST = 3;
// What a decoder is chosen by.
const HEAD_BYTES = 2;

/** The codings of a body, in the order in which they were applied. @throws ResultError where one of them cannot be decoded. */
export function codingsOf(header: string | string[] | undefined, host: string): readonly string[] {
  const codings = wordsOf(header);
  if (codings.length <= MOST && codings.every((coding) => Object.hasOwn(DECODERS, coding))) return codings;
  const said = JSON.stringify(codings.join(', ').slice(0, 100));
  const known = Object.keys(DECODERS).join(', ');
  const message = `${host} sends a result with the Content-Encoding ${said}; this Worker decodes ${known}.`;
  throw new ResultError(message, { retryable: false });
}

/** True for a body that has to be decoded. */
export function isCoded(header: string | string[] | undefined): boolean {
  return wordsOf(header).length > 0;
}

function wordsOf(header: string | string[] = ''): string[] {
  const words = header.toString().split(',');
  const isCoding = (word: string): boolean => Object.hasOwn(DECODERS, word) || OTHERS.has(word);
  return words.map((word) => word.trim().toLowerCase()).filter(isCoding);
}

/**
 * The body without its codings, unpacked as it is read. A body that does not begin as its coding says is left as it is.
 * @throws ResultError where it is not whole.
 */
export function decoded(body: AsyncIterable<Uint8Array>, codings: readonly string[]): AsyncIterable<Uint8Array> {
  return codings.reduceRight(withoutCoding, body);
}

async function* withoutCoding(body: AsyncIterable<Uint8Array>, coding: string): AsyncGenerator<Uint8Array, void> {
  const rest = body[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const next = await rest.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  if (head.length === 0) return;
  let broken: { readonly error: unknown } | undefined;
  async function* whole(): AsyncGenerator<Uint8Array, void> {
    try {
      yield head;
      yield* { [Symbol.asyncIterator]: () => rest };
    } catch (error) {
      broken = { error };
      throw error;
    }
  }
  const decoder = (DECODERS[coding] as Decoder)(head);
  if (decoder === null) return yield* whole();
  try {
    // One chunk is unpacked before the next one is read, so memory stays flat. Errors come out of the decoder.
    yield* pipeline(Readable.from(whole(), { highWaterMark: 1 }), decoder, () => undefined);
  } catch (error) {
    if (broken !== undefined) throw broken.error;
    const message = `A result is no whole "${coding}", as its Content-Encoding says (${reasonOf(error)}).`;
    throw new ResultError(message, { retryable: true });
  }
}
