/**
 * The input of a generation: what is allowed, its defaults, and when two inputs ask for the same. It guarantees that a
 * wrong input is refused by the name of its field, before anything is sent. Workflows, client, command and batches call
 * it. It reads no file and asks no API.
 */
import type { GenerationRequest, InputIdentity, JsonValue } from '../contract/index.js';
import { jsonBytes, REFERENCE_ITEMS, requestBody } from './body.js';
import { DAY, formatDuration, HOUR, parseDuration } from './duration.js';
import { credits, InvalidInput, integer, isPlainObject, onlyKnown, readAll, record, text } from './fields.js';
import { digestOf } from './key.js';
import { readReferences, referenceIdentity, type Reference } from './references.js';

/** A checked input with every default filled in. */
export interface Generation {
  readonly model: string;
  readonly prompt: string | null;
  /** The exact request body that every attempt sends, before `requestWith` adds the references. */
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

const REQUEST: readonly (keyof GenerationRequest)[] = ['model', 'prompt', 'params', 'references', 'clientRequestId'];
const FIELDS = [...REQUEST, 'idempotencyKey', 'taskId', 'labels', 'options'];
/** Options of generations and chats. */
export const SHARED_OPTIONS = ['maxCredits', 'submitDeadline', 'idempotencyWindow', 'onActionNeeded', 'taskQueue'];
const OPTIONS = ['maxAttempts', 'deadline', ...SHARED_OPTIONS];

// The API page of files says 128; for generations no length is published.
const CLIENT_REQUEST_ID_LENGTH = 128;
const MODEL_LENGTH = 128;
const TASK_ID_LENGTH = 256;
// Labels stand in the memo and in every receipt, so they stay small: 20 of them are 10 kB at most.
const LABELS = 20;
const LABEL_NAME_LENGTH = 64;
const LABEL_LENGTH = 256;
// Each attempt is paid. Ten failures in a row are no accident.
export const MAX_ATTEMPTS = 10;
// Longer than any published job, short enough that a typing error is seen.
const LONGEST = 30 * DAY;
// Temporal takes 2 MB for all inputs of an Activity; the body travels as text in JSON.
const BODY_BYTES = 1_000_000;
// Deeper than any documented params; keeps the recursion bounded.
const PARAMS_DEPTH = 32;

/**
 * Checks an input and fills in the defaults. Null counts as left out, because other languages send it so.
 * @throws InvalidInput
 */
export function readInput(input: unknown): Generation {
  const fields = record(input, 'input');
  const options = fields['options'] === undefined ? {} : record(fields['options'], 'options');
  const [, , model, prompt, params, references, clientRequestId, taskId, ownKey, attempts, onActionNeeded, rest] =
    readAll(
      () => onlyKnown(fields, FIELDS, ''),
      () => onlyKnown(options, OPTIONS, 'options.'),
      () => readModel(fields['model']),
      () => text(fields['prompt'], 'prompt'),
      () => readJsonParams(fields['params']),
      () => readReferences(fields['references']),
      () => text(fields['clientRequestId'], 'clientRequestId', CLIENT_REQUEST_ID_LENGTH),
      () => readTaskId(fields['taskId']),
      () => readOwnKey(fields['idempotencyKey']),
      () => integer(options['maxAttempts'], 'options.maxAttempts', MAX_ATTEMPTS),
      () => readOnActionNeeded(options['onActionNeeded'] ?? 'hold'),
      () => readLimits(options, fields['labels']),
    );
  if (references.length > 0 && params !== null && Object.hasOwn(params, REFERENCE_ITEMS)) {
    throw new InvalidInput(`params.${REFERENCE_ITEMS}`, 'is what references fill; give one of the two');
  }
  const nothing = prompt === null && references.length === 0 && (params === null || Object.keys(params).length === 0);
  if (taskId === null && nothing) {
    throw new InvalidInput('prompt', 'is missing, and so are params and references; give at least one of them');
  }

  if (ownKey !== null && taskId !== null) {
    throw new InvalidInput('idempotencyKey', 'cannot go with taskId: a task that exists is not submitted again');
  }
  const maxAttempts = attempts ?? 1;
  let onlyOnce: string | null = null;
  if (taskId !== null) onlyOnce = 'with taskId: nothing is submitted, so nothing is tried again';
  if (ownKey !== null) onlyOnce = 'with an idempotencyKey of your own, which is never varied';
  if (onlyOnce !== null && maxAttempts > 1) throw new InvalidInput('options.maxAttempts', `must be 1 ${onlyOnce}`);

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
    onActionNeeded,
    ...rest,
  };
}

type Limits = 'deadlineMs' | 'submitDeadlineMs' | 'idempotencyWindowMs' | 'maxCredits' | 'taskQueue' | 'labels';

/** The fields that are in no request. */
function readLimits(options: Record<string, unknown>, given: unknown): Pick<Generation, Limits> {
  const [deadline, submitDeadline, idempotencyWindow, maxCredits, taskQueue, labels] = readAll(
    () => readDuration(options, 'deadline'),
    () => readDuration(options, 'submitDeadline'),
    () => readDuration(options, 'idempotencyWindow'),
    () => credits(options['maxCredits'], 'options.maxCredits'),
    () => text(options['taskQueue'], 'options.taskQueue', 255),
    () => readLabels(given),
  );
  return {
    deadlineMs: deadline ?? 6 * HOUR,
    submitDeadlineMs: submitDeadline ?? 24 * HOUR,
    idempotencyWindowMs: idempotencyWindow ?? 12 * HOUR,
    maxCredits,
    taskQueue,
    labels,
  };
}

function readModel(value: unknown): string {
  const model = text(value, 'model', MODEL_LENGTH);
  if (model !== null) return model;
  throw new InvalidInput('model', 'is missing; name a public model ID, for example "z-image"');
}

function readJsonParams(value: unknown): Record<string, JsonValue> | null {
  if (value === undefined) return null;
  const params = record(value, 'params');
  checkJson(params, 'params', 0);
  return params;
}

function readOwnKey(value: unknown): string | null {
  const key = text(value, 'idempotencyKey', 255);
  if (key === null || /^[\x21-\x7e]+$/.test(key)) return key;
  throw new InvalidInput('idempotencyKey', 'must be 1 to 255 visible ASCII characters, as it travels in a header');
}

function readOnActionNeeded(value: unknown): 'hold' | 'fail' {
  if (value === 'hold' || value === 'fail') return value;
  throw new InvalidInput('options.onActionNeeded', 'must be "hold" or "fail"');
}

type Identified = Pick<Generation, 'taskId' | 'ownKey' | 'body' | 'references'>;

/** The identity of an input: a start attaches to a run whose input has the same. */
export function identityOf({ taskId, ownKey, body, references }: Identified): InputIdentity {
  return { taskId, ownKey, digest: digestOf(`${body}${JSON.stringify(references.map(referenceIdentity))}`) };
}

/** True where a start with the wanted input can attach to a run with the existing one. */
export function isSameInput(wanted: InputIdentity, existing: InputIdentity): boolean {
  // The ID alone identifies a task that is waited for: it needs no prompt and has no key.
  if (wanted.taskId !== null) return wanted.taskId === existing.taskId;
  return wanted.digest === existing.digest && (existing.taskId !== null || wanted.ownKey === existing.ownKey);
}

export function readTaskId(value: unknown): string | null {
  const taskId = text(value, 'taskId', TASK_ID_LENGTH);
  // It becomes a part of a path.
  if (taskId === '.' || taskId === '..') throw new InvalidInput('taskId', 'is no task ID');
  return taskId;
}

/** The deadline of `changeDeadline`, in milliseconds. @throws InvalidInput */
export function readDeadline(request: unknown): number {
  const fields = record(request, 'changeDeadline');
  onlyKnown(fields, ['deadline'], '');
  const deadline = readDuration(fields, 'deadline', 'deadline');
  if (deadline === null) throw new InvalidInput('deadline', 'is missing, for example { "deadline": "12h" }');
  return deadline;
}

function readDuration(options: Record<string, unknown>, name: string, field = `options.${name}`): number | null {
  const value = options[name];
  if (value === undefined) return null;
  const ms = typeof value === 'number' || typeof value === 'string' ? parseDuration(value) : null;
  if (ms !== null && ms >= 1_000 && ms <= LONGEST) return ms;
  const problem = `must be from 1 s to ${formatDuration(LONGEST)}, as "90s", "10m", "6h", "2d" or in milliseconds`;
  throw new InvalidInput(field, problem);
}

function readLabels(value: unknown): Record<string, string> {
  const given = Object.entries(value === undefined ? {} : record(value, 'labels'));
  if (given.length > LABELS) throw new InvalidInput('labels', `has more than ${LABELS} entries`);
  const read = given.map(([name, label]) => {
    const tooLong = name.length > LABEL_NAME_LENGTH;
    if (tooLong) throw new InvalidInput('labels', `has a name above ${LABEL_NAME_LENGTH} characters`);
    return [name, text(label, `labels.${name}`, LABEL_LENGTH) ?? ''] as const;
  });
  return Object.fromEntries(read);
}

/** Refuses a value that JSON would change without a word. */
function checkJson(value: unknown, field: string, depth: number): asserts value is JsonValue {
  if (depth > PARAMS_DEPTH) throw new InvalidInput(field, `is nested deeper than ${PARAMS_DEPTH} levels`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      throw new InvalidInput(field, `${value} is a number that JSON cannot carry exactly; send it as a string`);
    }
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => checkJson(item, `${field}[${index}]`, depth + 1));
  } else if (isPlainObject(value) && !isCollection(value)) {
    for (const [name, item] of Object.entries(value)) checkJson(item, `${field}.${name}`, depth + 1);
  } else {
    throw new InvalidInput(field, `is ${notJson(value)}`);
  }
}

/** True for objects of which JSON keeps nothing, or other things than they hold. */
function isCollection(value: unknown): boolean {
  return value instanceof Map || value instanceof Set || ArrayBuffer.isView(value);
}

/** A value that JSON has no form for, in words that say what to do. */
function notJson(value: unknown): string {
  if (value === undefined) return 'undefined, which JSON cannot carry: leave it out, or give null';
  const kind = typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value;
  return `a ${kind}, which JSON cannot carry: give a string, number, boolean, null, array or plain object`;
}
