/**
 * The check of a memo that was read from Temporal. It guarantees that each field has its type: anybody who starts a
 * Workflow can write a memo with anything in it. Recall, client and command call it. It judges the form, not whether
 * the facts are true.
 */
import type { GenerationMemo, Hold, UnansweredPost } from '../contract/index.js';

type Check = (value: unknown) => boolean;

// What a Date can hold.
const LAST_MS = 8.64e15;
const isText: Check = (value) => typeof value === 'string';
const isAmountOrNull: Check = (value) => value === null || Number.isFinite(value);
const isTextOrNull: Check = (value) => value === null || isText(value);
const isTime: Check = (value) => typeof value === 'number' && Math.abs(value) <= LAST_MS;
const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

const areTexts: Check = (value) => {
  const found = fieldsOf(value);
  return found !== null && Object.values(found).every(isText);
};
const areAmounts: Check = (value) => {
  const found = fieldsOf(value);
  return found !== null && Object.values(found).every(Number.isFinite);
};
const isHold: Check = (value) => {
  const { code, message, action, since, link = '', found = '' } = (fieldsOf(value) ?? {}) as Partial<Hold>;
  return [code, message, action, since, link, found].every(isText);
};
const isPost: Check = (value) => {
  const post = (fieldsOf(value) ?? {}) as Partial<UnansweredPost>;
  const { firstPostedAt, lastPostedAt = 0, fingerprint, errorRequestId = '' } = post;
  return isTime(firstPostedAt) && isTime(lastPostedAt) && isText(fingerprint) && isText(errorRequestId);
};

const isRange: Check = (value) => {
  const { from, to } = fieldsOf(value) ?? {};
  return [from, to].every((time) => typeof time === 'string' && Number.isFinite(Date.parse(time)));
};

/** The check of each field of a memo. A field that a later version adds must be allowed to be missing here. */
const MEMO_FIELDS: Readonly<Record<keyof GenerationMemo, Check>> = {
  phase: isText,
  status: isTextOrNull,
  model: isText,
  taskId: isTextOrNull,
  idempotencyKey: isTextOrNull,
  keyNumber: Number.isSafeInteger,
  attempt: Number.isSafeInteger,
  reservedCredits: isAmountOrNull,
  finalCredits: isAmountOrNull,
  hold: (value) => value === null || isHold(value),
  lookedBy: isTextOrNull,
  riskReason: isTextOrNull,
  earlier: (value) => Array.isArray(value) && value.every(isText),
  earlierCredits: (value) => value === undefined || areAmounts(value),
  mayPostSince: (value) => value === null || isPost(value),
  baseKey: isTextOrNull,
  labels: areTexts,
  bodyDigest: isText,
  expectedEnd: (value) => value === undefined || isRange(value),
};

/** Why a memo is none of ours, or null. */
export function memoProblem(memo: unknown): string | null {
  const found = fieldsOf(memo);
  if (found === null) return 'it is no object';
  const wrong = Object.entries(MEMO_FIELDS).find(([name, isGood]) => !isGood(found[name]));
  return wrong === undefined ? null : `its "${wrong[0]}" is missing or of a wrong type`;
}

/** The memo of a run; null where it is none of ours. */
export function readMemo(memo: unknown): GenerationMemo | null {
  return memoProblem(memo) === null ? (memo as GenerationMemo) : null;
}
