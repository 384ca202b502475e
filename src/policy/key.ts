import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/** Who derives the key. The tag keeps a Workflow and a step of the same name apart. */
export type KeyUse = 'generateMedia' | 'generate' | 'chat';

export interface KeyParts {
  readonly use: KeyUse;
  readonly namespace: string;
  readonly workflowId: string;
  /** Step of a composed Workflow; empty for `generateMedia`. */
  readonly step: string;
  /** The caller's word for paying again, from 1. */
  readonly take: number;
  /** Number of the paid attempt, from 1. */
  readonly attempt: number;
  /** Keys of this attempt that the API has answered with a stored refusal, and nothing else. Default 0. */
  readonly spent?: number;
}

// The limits of the Idempotency-Key header are not published. 64 characters of [A-Za-z0-9._-] pass everywhere.
const SLUG_LENGTH = 23;
// 160 bits: two of a billion billion keys meet with a chance below one in 10^12.
const DIGEST_HEX = 40;

/**
 * The idempotency key of one attempt: a readable start, then a digest over all parts, at most 64 characters.
 * It holds no run ID and no clock, so a reset, a Workflow retry, continue-as-new and a second start under the same ID
 * derive the same key. The same parts give the same key in every release (`test/golden/keys.json`).
 */
export function idempotencyKey(parts: KeyParts): string {
  const fields = [
    'rivya-temporal',
    parts.use,
    parts.namespace,
    parts.workflowId,
    parts.step,
    String(parts.take),
    String(parts.attempt),
    // Left out at 0, so that the first key of an attempt is what it was before this field existed.
    ...(parts.spent ? [`spent-${parts.spent}`] : []),
  ];
  // Each field carries its length, so no two lists of fields give the same text.
  const text = fields.map((field) => `${utf8ToBytes(field).length}:${field}`).join('');
  const digest = bytesToHex(sha256(utf8ToBytes(text))).slice(0, DIGEST_HEX);
  return `${slug(parts.workflowId, SLUG_LENGTH)}-${digest}`;
}

/** A short digest of the request body: two inputs that would pay for different things differ in it. */
export function bodyDigest(body: string): string {
  return bytesToHex(sha256(utf8ToBytes(body))).slice(0, DIGEST_HEX);
}

/** The part of a text that reads well in a key, an ID or a file name; `rivya` when nothing is left. */
export function slug(text: string, maxLength: number): string {
  const readable = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, maxLength)
    .replace(/^[-.]+|[-.]+$/g, '');
  return readable === '' ? 'rivya' : readable;
}
