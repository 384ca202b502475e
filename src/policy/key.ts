import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/** What a key pays for. A Workflow ID stands for one of the two. */
export type KeyUse = 'generation' | 'chat';

export interface KeyParts {
  readonly use: KeyUse;
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
 * The idempotency key of a paid call: a readable start, then a digest over all parts, at most 64 characters. It holds no
 * run ID and no clock, so a reset, a Workflow retry, continue-as-new and a second start under the same ID derive the same
 * key. The same parts give the same key in every release (`test/golden`).
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

/** A short digest of a text. Of a request body: two inputs that would pay for different things differ in it. */
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
