import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/** Sets this digest apart from every other SHA-256 of the same key, which somebody may have published. */
const FINGERPRINT_TAG = 'rivya-temporal/api-key-fingerprint/v1\n';

/** A text that no log line, error, JSON document or template literal shows. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The text itself. Put it into the request header and nowhere else. */
  reveal(): string {
    return this.#value;
  }

  /** 12 hex digits that tell two keys apart and cannot be turned back into one. May be recorded. */
  fingerprint(): string {
    return createHash('sha256')
      .update(FINGERPRINT_TAG + this.#value)
      .digest('hex')
      .slice(0, 12);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

/** Anything that looks like a Rivya key, so that an older key does not slip through either. */
const KEY_PATTERN = /rvya_sk_[\w.~+/=-]*/g;

/** A shorter text is no secret (a made-up key for the emulator), and taking it out would tear other words up. */
const MIN_SECRET_LENGTH = 8;

/** So many characters of a key in a row give it away: a server may repeat only a part of it. */
const PIECE_LENGTH = 12;

/** Takes a secret, in every usual form, its longer pieces, and everything that looks like a Rivya key out of a text. */
export function scrub(text: string, secret: Secret | null): string {
  const value = secret?.reveal() ?? '';
  const exact = value.length < MIN_SECRET_LENGTH ? text : withoutPieces(text, value);
  return exact.replaceAll(KEY_PATTERN, REDACTED);
}

function withoutPieces(text: string, value: string): string {
  const length = Math.min(PIECE_LENGTH, value.length);
  const pieces = new Set<string>();
  for (const form of formsOf(value)) {
    for (let at = 0; at + length <= form.length; at++) pieces.add(form.slice(at, at + length));
  }
  let clean = '';
  // Where the piece ends that is being taken out. Pieces of one secret overlap.
  let end = 0;
  for (let at = 0; at < text.length; at++) {
    if (pieces.has(text.slice(at, at + length))) {
      if (at >= end) clean += REDACTED;
      end = at + length;
    }
    if (at >= end) clean += text[at];
  }
  return clean;
}

const HTML = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' } as const;

/** The forms in which servers, proxies and libraries repeat what they were sent. */
function formsOf(value: string): string[] {
  const url = encodeURIComponent(value);
  return [
    value,
    url,
    url.replace(/%../g, (code) => code.toLowerCase()),
    JSON.stringify(value).slice(1, -1),
    // Some leave the apostrophe as it is.
    ...[/[&<>"']/g, /[&<>"]/g].map((odd) => value.replace(odd, (char) => HTML[char as keyof typeof HTML])),
    ...[0, 1, 2].flatMap((before) => base64Of(value, before)),
  ];
}

/** What Base64 makes of a text that stands after so many other bytes (`Bearer ` is 7, which is like 1). */
function base64Of(value: string, before: number): string[] {
  const bytes = Buffer.from(`${' '.repeat(before)}${value}`);
  // Only whole groups of six bits that hold nothing but the text.
  const core = bytes.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6));
  return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
}
