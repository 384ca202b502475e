/**
 * The idempotency key, from which the API tells whether a request was paid before. It guarantees the same key for the
 * same parts in every release (`test/golden`), without a clock or a run ID. Workflows derive the key before the first
 * POST. It never varies a caller's own key.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

export interface KeyParts {
  /** A Workflow ID stands for one of the two. */
  readonly use: 'generation' | 'chat';
  readonly namespace: string;
  readonly workflowId: string;
  /** The key number, from 1. */
  readonly number: number;
}

// The limits of the Idempotency-Key header are not published. 64 characters of [A-Za-z0-9._-] pass everywhere.
const SLUG_LENGTH = 23;
// 160 bits: two of a billion billion keys meet with a chance below one in 10^12.
const DIGEST_HEX = 40;

/**
 * The idempotency key of a paid call: a readable start, then a digest over all parts, at most 64 characters. A reset, a
 * Workflow retry, continue-as-new and a second start under the same ID derive the same key.
 *
 * The key number moves on where no task can exist under the key, or a person has accepted that one may: when the task of
 * the key has failed and another attempt is allowed, and when a hold or a failed run ends in which the key was posted and
 * only refused, or a hold in which it was answered with an error that the API has stored.
 */
export function idempotencyKey({ use, namespace, workflowId, number }: KeyParts): string {
  const fields = ['rivya-temporal', use, namespace, workflowId, String(number)];
  // Each field carries its length, so no two lists of fields give the same text.
  const text = fields.map((field) => `${utf8ToBytes(field).length}:${field}`).join('');
  return `${slug(workflowId, SLUG_LENGTH)}-${digestOf(text)}`;
}

/** A short digest of a text: two request bodies that pay for different things differ in it. */
export function digestOf(text: string): string {
  return bytesToHex(sha256(utf8ToBytes(text))).slice(0, DIGEST_HEX);
}

/** The part of a text that reads well in a key, an ID or a file name; `rivya` when nothing is left. */
export function slug(text: string, maxLength: number): string {
  const readable = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, maxLength)
    .replace(/^[-.]+|[-.]+$/g, '');
  return readable === '' ? 'rivya' : readable;
}
