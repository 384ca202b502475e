import type { GenerateMediaInput, InputIdentity, JsonValue } from '../contract/index.js';
import { jsonBytes, REFERENCE_ITEMS, requestBody } from './body.js';
import { formatDuration, parseDuration } from './duration.js';
import { InvalidInput, integer, isPlainObject, onlyKnown, record, text } from './fields.js';
import { digestOf } from './key.js';
import { lasting, readReferences, type Reference } from './references.js';

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
  refuseTake(fields);
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
  if (jsonBytes(body) > BODY_BYTES) {
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

/** The field of earlier versions that paid again. */
export function refuseTake(fields: Record<string, unknown>): void {
  if (fields['take'] === undefined) return;
  throw new InvalidInput(
    'take',
    'is no field any more: use another Workflow ID (or step name) to pay for a variation, and a larger options.maxAttempts to allow another try after a failed task',
  );
}

/** What the input pays for or waits for: a start may attach to another one that has the same. */
export function identityOf({
  taskId,
  ownKey,
  body,
  references,
}: Pick<Generation, 'taskId' | 'ownKey' | 'body' | 'references'>): InputIdentity {
  return { taskId, ownKey, digest: digestOf(`${body}${JSON.stringify(references.map(lasting))}`) };
}

/** True where a run with one input is what a start with the other wants. */
export function isSameInput(wanted: InputIdentity, existing: InputIdentity): boolean {
  // A task that is waited for needs no prompt and has no key; what names it is its ID.
  if (wanted.taskId !== null) return wanted.taskId === existing.taskId;
  return wanted.digest === existing.digest && (existing.taskId !== null || wanted.ownKey === existing.ownKey);
}

/** @throws InvalidInput */
export function readTaskId(value: unknown): string | null {
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
