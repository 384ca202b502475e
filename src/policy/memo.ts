import type { GenerationMemo, Hold, UnansweredPost } from '../contract/index.js';

type Check = (value: unknown) => boolean;

// What a Date can hold.
const LAST_MS = 8.64e15;
const text: Check = (value) => typeof value === 'string';
const amount: Check = (value) => value === null || Number.isFinite(value);
const textOrNull: Check = (value) => value === null || text(value);
const time: Check = (value) => typeof value === 'number' && Math.abs(value) <= LAST_MS;
const fields = (value: unknown): Readonly<Record<string, unknown>> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

const areTexts: Check = (value) => {
  const found = fields(value);
  return found !== null && Object.values(found).every(text);
};
const isHold: Check = (value) => {
  const { code, message, action, since } = (fields(value) ?? {}) as Partial<Hold>;
  return [code, message, action, since].every(text);
};
const isPost: Check = (value) => {
  const post = (fields(value) ?? {}) as Partial<UnansweredPost>;
  const { firstPostedAt, lastPostedAt = 0, fingerprint, errorRequestId = '' } = post;
  return time(firstPostedAt) && time(lastPostedAt) && text(fingerprint) && text(errorRequestId);
};

/** What each field of a memo must be. A field that a later version adds must be allowed to be missing here. */
const FIELDS: Readonly<Record<keyof GenerationMemo, Check>> = {
  phase: text,
  status: textOrNull,
  model: text,
  taskId: textOrNull,
  idempotencyKey: textOrNull,
  keyNumber: Number.isSafeInteger,
  attempt: Number.isSafeInteger,
  reservedCredits: amount,
  finalCredits: amount,
  hold: (value) => value === null || isHold(value),
  lookedBy: textOrNull,
  riskReason: textOrNull,
  earlier: (value) => Array.isArray(value) && value.every(text),
  mayPostSince: (value) => value === null || isPost(value),
  baseKey: textOrNull,
  labels: areTexts,
  bodyDigest: text,
};

/** Why a memo is none of ours, or null. Anybody who starts a Workflow can write one, with anything in it. */
export function memoProblem(memo: unknown): string | null {
  const found = fields(memo);
  if (found === null) return 'it is no object';
  const wrong = Object.entries(FIELDS).find(([name, isGood]) => !isGood(found[name]));
  return wrong === undefined ? null : `its "${wrong[0]}" is missing or of a wrong type`;
}

/** The memo of a run as it was read; null where it is none of ours. */
export function readMemo(memo: unknown): GenerationMemo | null {
  return memoProblem(memo) === null ? (memo as GenerationMemo) : null;
}
