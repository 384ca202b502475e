import type { EmulatorKey } from './types.js';
import { findModel, type Model } from './catalogue.js';
import { Refusal } from './replies.js';

interface CreateBody {
  readonly model: Model;
  readonly prompt: string | null;
  readonly params: Readonly<Record<string, unknown>>;
}

const FIELDS = new Set(['model', 'prompt', 'params', 'client_request_id']);

export function invalid(message: string): Refusal {
  return new Refusal('validation_failed', message);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The prompt, or the message of a chat, of a body that may be anything. */
export function promptOf(body: string): string {
  const value = parseJson(body);
  if (!isObject(value)) return '';
  return [value['prompt'], value['message']].find((text) => typeof text === 'string') ?? '';
}

/** The fields of a body, and its model where it names one. @throws Refusal for what is no JSON object of these fields. */
export function bodyOf(
  text: string,
  contentType: string | undefined,
  fields: ReadonlySet<string>,
): Record<string, unknown> & { readonly model: Model | undefined } {
  if (!/^application\/json\b/i.test(contentType ?? '')) throw invalid('Content-Type must be application/json.');
  const body = parseJson(text);
  if (!isObject(body)) throw invalid('The body must be a JSON object.');
  const unknown = Object.keys(body).find((name) => !fields.has(name));
  if (unknown !== undefined) throw invalid(`Unknown field "${unknown}".`);
  if (!['string', 'undefined'].includes(typeof body['client_request_id'])) {
    throw invalid('The field "client_request_id" must be a string.');
  }
  return { ...body, model: typeof body['model'] === 'string' ? findModel(body['model']) : undefined };
}

/** @throws Refusal `validation_failed` for what is no text, or longer than the model takes. */
export function promptFor({ id, maxPrompt }: Model, prompt: unknown, field: string): string {
  if (typeof prompt !== 'string' || prompt.trim() === '') throw invalid(`The field "${field}" must be a text.`);
  if (maxPrompt !== null && [...prompt].length > maxPrompt) {
    throw invalid(`The field "${field}" is longer than the ${maxPrompt} characters of "${id}".`);
  }
  return prompt;
}

/** @throws Refusal `validation_failed` with the field that is wrong. */
export function validateCreate(text: string, contentType: string | undefined): CreateBody {
  const { model, prompt, params } = bodyOf(text, contentType, FIELDS);
  if (model === undefined) throw invalid('The field "model" must be the ID of a public model.');
  if (model.category === 'chat') throw invalid(`The model "${model.id}" belongs to the Chat API.`);
  if (params !== undefined && !isObject(params)) throw invalid('The field "params" must be an object.');
  if (params === undefined && model.needsParams === true) throw invalid(`The model "${model.id}" needs "params".`);
  if (prompt === undefined && params !== undefined) return { model, prompt: null, params };
  return { model, prompt: promptFor(model, prompt, 'prompt'), params: params ?? {} };
}

/** @throws Refusal for a key that is missing, unknown, revoked or expired. */
export function findKey(authorization: string | undefined, keys: readonly EmulatorKey[]): EmulatorKey {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) throw new Refusal('api_key_missing');
  const key = keys.find((candidate) => candidate.key === given);
  if (key === undefined) throw new Refusal('api_key_invalid');
  if (key.state === 'revoked') throw new Refusal('api_key_revoked');
  if (key.state === 'expired') throw new Refusal('api_key_expired');
  return key;
}
