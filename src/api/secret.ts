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

/** Anything that looks like a Rivya key, so that a shortened or older key does not slip through either. */
const KEY_PATTERN = /rvya_sk_[\w.~+/=-]*/g;

/** A shorter text is no secret (a made-up key for the emulator), and taking it out would tear other words up. */
const MIN_SECRET_LENGTH = 8;

/** Takes a secret, plain or percent-encoded, and everything that looks like a Rivya key out of a text. */
export function scrub(text: string, secret: Secret | null): string {
  const value = secret?.reveal() ?? '';
  const exact =
    value.length < MIN_SECRET_LENGTH
      ? text
      : text.replaceAll(value, REDACTED).replaceAll(encodeURIComponent(value), REDACTED);
  return exact.replaceAll(KEY_PATTERN, REDACTED);
}
