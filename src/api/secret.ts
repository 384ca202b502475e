/** API keys, and their removal from every text that may be shown. */
import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/** Makes the digest differ from a plain SHA-256 of the key, which may have been published. */
const FINGERPRINT_TAG = 'rivya-temporal/api-key-fingerprint/v1\n';

/** A text that no log line, error, JSON document or template literal shows. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The text itself, for the request header only. */
  reveal(): string {
    return this.#value;
  }

  /** 12 hex digits that differ for two keys and do not reveal them. May be recorded. */
  fingerprint(): string {
    const tagged = FINGERPRINT_TAG + this.#value;
    return createHash('sha256').update(tagged).digest('hex').slice(0, 12);
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

/** Every Rivya key, also one that is not in use. */
const KEY_PATTERN = /rvya_sk_[\w.~+/=-]*/g;

/** A shorter key is a made-up one for the emulator, and its removal would tear other words apart. */
const MIN_SECRET_LENGTH = 8;

/** Length from which a part of a key is removed too: a server may repeat only a part. */
const PIECE_LENGTH = 12;

/** A text without a secret (in every usual form, its longer pieces too) and without anything that looks like a Rivya key. */
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
  // End of the piece that is left out now. Pieces of one secret overlap.
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

/** Base64 of a text behind so many other bytes: `Bearer ` has 7, which gives the same as 1. */
function base64Of(value: string, before: number): string[] {
  const bytes = Buffer.from(`${' '.repeat(before)}${value}`);
  // Only whole groups of six bits that hold nothing but the text.
  const core = bytes.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6));
  return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
}
