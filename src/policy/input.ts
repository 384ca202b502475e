import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { GenerateMediaInput, JsonValue } from '../contract/index.js';
import { REFERENCE_ITEMS, requestBody } from './body.js';
import { formatDuration, parseDuration } from './duration.js';
import { InvalidInput, integer, isPlainObject, onlyKnown, record, text } from './fields.js';
import { readReferences, type Reference } from './references.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A checked input with every default filled in. */
export interface Generation {
  readonly model: string;
  readonly prompt: string | null;
  /** The exact request body that every attempt sends; without the references, which `requestWith` adds. */
  readonly body: string;
  readonly references: readonly Reference[];
  readonly ownKey: string | null;
  readonly take: number;
  readonly taskId: string | null;
  readonly maxAttempts: number;
  readonly deadlineMs: number;
  readonly submitDeadlineMs: number;
  readonly idempotencyWindowMs: number;
  readonly onActionNeeded: 'hold' | 'fail';
  readonly maxCredits: number | null;
  readonly taskQueue: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

const FIELDS = [
  'model',
  'prompt',
  'params',
  'references',
  'clientRequestId',
  'idempotencyKey',
  'take',
  'taskId',
  'labels',
  'options',
] as const satisfies readonly (keyof GenerateMediaInput)[];
const OPTIONS = [
  'maxAttempts',
  'deadline',
  'submitDeadline',
  'idempotencyWindow',
  'onActionNeeded',
  'maxCredits',
  'taskQueue',
] as const satisfies readonly (keyof NonNullable<GenerateMediaInput['options']>)[];
// Published names of a later version: a plain word is better than "unknown field".
const LATER = new Set(['options.store', 'options.priority', 'options.fairnessKey']);

// The API page of files says 128; for generations no length is published.
const CLIENT_REQUEST_ID_LENGTH = 128;
const MODEL_LENGTH = 128;
const TASK_ID_LENGTH = 256;
// A sentence or two; it stays in the history.
const REASON_LENGTH = 1_000;
// Labels stand in the memo and in every receipt, so they stay small: 20 of them are 10 kB at most.
const LABELS = 20;
const LABEL_NAME_LENGTH = 64;
const LABEL_LENGTH = 256;
// Each attempt is paid. Ten failures in a row are no accident.
const MAX_ATTEMPTS = 10;
// Longer than any published job, short enough that a typing error is seen.
const LONGEST = 30 * DAY;
// Temporal takes 2 MB for all inputs of an Activity; the body travels as text in JSON.
const BODY_BYTES = 1_000_000;
// Deeper than any documented params; keeps the recursion bounded.
const PARAMS_DEPTH = 32;

/**
 * Checks an input and fills in the defaults. Null counts as left out, because other languages send it so.
 * @throws InvalidInput with the name of the wrong field.
 */
export function readInput(input: unknown): Generation {
  const fields = record(input, 'input');
  onlyKnown(fields, FIELDS, '', LATER);
  const options = fields['options'] === undefined ? {} : record(fields['options'], 'options');
  onlyKnown(options, OPTIONS, 'options.', LATER);

  const model = text(fields['model'], 'model', MODEL_LENGTH);
  if (model === null) throw new InvalidInput('model', 'is missing; name a public model ID, for example "z-image"');
  const prompt = text(fields['prompt'], 'prompt');
  const params = fields['params'] === undefined ? null : record(fields['params'], 'params');
  if (params !== null) json(params, 'params', 0);
  const references = readReferences(fields['references']);
  if (references.length > 0 && params !== null && Object.hasOwn(params, REFERENCE_ITEMS)) {
    throw new InvalidInput(`params.${REFERENCE_ITEMS}`, 'is what references fill; give one of the two');
  }
  const clientRequestId = text(fields['clientRequestId'], 'clientRequestId', CLIENT_REQUEST_ID_LENGTH);
  const taskId = readTaskId(fields['taskId']);
  const nothing = prompt === null && references.length === 0 && (params === null || Object.keys(params).length === 0);
  if (taskId === null && nothing) {
    throw new InvalidInput('prompt', 'is missing, and so are params and references; give at least one of them');
  }

  const ownKey = text(fields['idempotencyKey'], 'idempotencyKey', 255);
  if (ownKey !== null && !/^[\x21-\x7e]+$/.test(ownKey)) {
    throw new InvalidInput('idempotencyKey', 'must be 1 to 255 visible ASCII characters, as it travels in a header');
  }
  if (ownKey !== null && taskId !== null) {
    throw new InvalidInput('idempotencyKey', 'cannot go with taskId: a task that exists is not submitted again');
  }
  const take = integer(fields['take'], 'take', 1_000_000) ?? 1;
  if (ownKey !== null && take > 1) {
    throw new InvalidInput(
      'take',
      'cannot be used with idempotencyKey, which stays the same; give another idempotencyKey',
    );
  }
  const maxAttempts = integer(options['maxAttempts'], 'options.maxAttempts', MAX_ATTEMPTS) ?? 1;
  if (taskId !== null && maxAttempts > 1) {
    throw new InvalidInput(
      'options.maxAttempts',
      'must be 1 with taskId: nothing is submitted, so nothing is tried again',
    );
  }
  if (ownKey !== null && maxAttempts > 1) {
    throw new InvalidInput(
      'options.maxAttempts',
      'must be 1 with an idempotencyKey of your own, which is never varied',
    );
  }
  const onActionNeeded = options['onActionNeeded'] ?? 'hold';
  if (onActionNeeded !== 'hold' && onActionNeeded !== 'fail') {
    throw new InvalidInput('options.onActionNeeded', 'must be "hold" or "fail"');
  }

  const body = requestBody({ model, prompt, params, clientRequestId });
  if (utf8ToBytes(JSON.stringify(body)).length > BODY_BYTES) {
    const paramsLength = params === null ? 0 : JSON.stringify(params).length;
    const field = paramsLength > (prompt ?? '').length ? 'params' : 'prompt';
    throw new InvalidInput(field, `makes a request of more than ${BODY_BYTES / 1e6} MB, which Temporal does not carry`);
  }

  return {
    model,
    prompt,
    body,
    references,
    ownKey,
    take,
    taskId,
    maxAttempts,
    deadlineMs: duration(options['deadline'], 'options.deadline') ?? 6 * HOUR,
    submitDeadlineMs: duration(options['submitDeadline'], 'options.submitDeadline') ?? 24 * HOUR,
    idempotencyWindowMs: duration(options['idempotencyWindow'], 'options.idempotencyWindow') ?? 12 * HOUR,
    onActionNeeded,
    maxCredits: credits(options['maxCredits'], 'options.maxCredits'),
    taskQueue: text(options['taskQueue'], 'options.taskQueue', 255),
    labels: labels(fields['labels']),
  };
}

/**
 * Checks the argument of `resume`. Nothing at all is allowed; null counts as left out.
 * @throws InvalidInput with the name of the wrong field.
 */
export function readResume(input: unknown): { taskId: string | null; reason: string | null; step: string | null } {
  const fields = input == null ? {} : record(input, 'resume');
  onlyKnown(fields, ['taskId', 'reason', 'step'], '');
  const resume = {
    taskId: readTaskId(fields['taskId']),
    reason: text(fields['reason'], 'reason', REASON_LENGTH),
    step: text(fields['step'], 'step'),
  };
  if (resume.taskId !== null && resume.reason !== null) {
    throw new InvalidInput('reason', 'cannot go with taskId: either the task was found, or it is posted again');
  }
  return resume;
}

function readTaskId(value: unknown): string | null {
  const taskId = text(value, 'taskId', TASK_ID_LENGTH);
  // It becomes a part of a path.
  if (taskId === '.' || taskId === '..') throw new InvalidInput('taskId', 'is no task ID');
  return taskId;
}

function credits(value: unknown, field: string): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidInput(field, 'must be a number of credits above 0');
  }
  return value;
}

function duration(value: unknown, field: string): number | null {
  if (value === undefined) return null;
  const ms = typeof value === 'number' || typeof value === 'string' ? parseDuration(value) : null;
  if (ms === null || ms < 1_000 || ms > LONGEST) {
    throw new InvalidInput(
      field,
      `must be from 1 s to ${formatDuration(LONGEST)}, as "90s", "10m", "6h", "2d" or in milliseconds`,
    );
  }
  return ms;
}

function labels(value: unknown): Record<string, string> {
  const given = Object.entries(value === undefined ? {} : record(value, 'labels'));
  if (given.length > LABELS) throw new InvalidInput('labels', `has more than ${LABELS} entries`);
  const read = given.map(([name, label]) => {
    const field = `labels.${name}`;
    if (name.length > LABEL_NAME_LENGTH)
      throw new InvalidInput('labels', `has a name above ${LABEL_NAME_LENGTH} characters`);
    return [name, text(label, field, LABEL_LENGTH) ?? ''] as const;
  });
  return Object.fromEntries(read);
}

/** Refuses what would not arrive as it was written. */
function json(value: unknown, field: string, depth: number): asserts value is JsonValue {
  if (depth > PARAMS_DEPTH) throw new InvalidInput(field, `is nested deeper than ${PARAMS_DEPTH} levels`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      throw new InvalidInput(field, `${value} is a number that JSON cannot carry exactly; send it as a string`);
    }
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => json(item, `${field}[${index}]`, depth + 1));
  } else if (isPlainObject(value)) {
    for (const [name, item] of Object.entries(value)) json(item, `${field}.${name}`, depth + 1);
  } else {
    throw new InvalidInput(field, 'is not JSON');
  }
}
