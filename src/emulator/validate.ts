import { z } from 'zod';
import type { Call, Holder } from './call.js';
import { findModel, type Model } from './catalogue.js';
import { Refusal } from './replies.js';

/** A text that is not blank. */
export const TEXT = z.string().regex(/\S/, 'is blank');
const CREATE = z.strictObject({
  model: z.string(),
  prompt: TEXT.optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  client_request_id: z.string().optional(),
});

interface CreateBody {
  readonly model: Model;
  readonly prompt: string | null;
  readonly params: Readonly<Record<string, unknown>>;
}

export function invalid(message: string): Refusal {
  return new Refusal('validation_failed', message);
}

/** A value by its schema. @throws TypeError that begins with `what` and names the field that is wrong. */
export function checked<Value>(schema: z.ZodType<Value>, value: unknown, what: string): Value {
  const { data, error } = schema.safeParse(value);
  if (error !== undefined) throw new TypeError(`${what}: ${z.prettifyError(error)}`);
  return data;
}

/** A part of a request by its schema. @throws Refusal `validation_failed` naming the field that is wrong. */
export function fieldsOf<Value>(schema: z.ZodType<Value>, value: unknown): Value {
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data;
  const [issue] = error.issues;
  throw invalid(`The field "${issue?.path.join('.') || 'body'}" is wrong: ${issue?.message}.`);
}

/** The fields of a JSON body. @throws Refusal `validation_failed` naming the field that is wrong. */
export function bodyOf<Value>({ body, contentType }: Call, schema: z.ZodType<Value>): Value {
  if (!/^application\/json\b/i.test(contentType ?? '')) throw invalid('Content-Type must be application/json.');
  return fieldsOf(schema, parseJson(body.toString()));
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
  const value = parseJson(body) as { readonly prompt?: unknown; readonly message?: unknown } | null | undefined;
  return [value?.prompt, value?.message].find((text) => typeof text === 'string') ?? '';
}

/** @throws Refusal `validation_failed` for a text that is longer than the model takes. */
export function checkLength({ id, maxPrompt }: Model, text: string, field: string): void {
  if (maxPrompt !== null && [...text].length > maxPrompt) {
    throw invalid(`The field "${field}" is longer than the ${maxPrompt} characters of "${id}".`);
  }
}

/** The public model of this ID. @throws Refusal `validation_failed` where there is none. */
export function publicModel(id: string): Model {
  const model = findModel(id);
  if (model === undefined) throw invalid('The field "model" must be the ID of a public model.');
  return model;
}

/** The body of a create. @throws Refusal `validation_failed` naming the field that is wrong. */
export function createBodyOf(call: Call): CreateBody {
  const { model: id, prompt, params } = bodyOf(call, CREATE);
  const model = publicModel(id);
  if (model.category === 'chat') throw invalid(`The model "${id}" belongs to the Chat API.`);
  if (params === undefined && model.needsParams === true) throw invalid(`The model "${id}" needs "params".`);
  if (params === undefined && prompt === undefined) throw invalid('The field "prompt" is missing.');
  checkLength(model, prompt ?? '', 'prompt');
  return { model, prompt: prompt ?? null, params: params ?? {} };
}

/** The API key of a call. @throws Refusal for a key that is missing, unknown, revoked or expired. */
export function keyOf({ authorization }: Call, keys: readonly Holder[]): Holder {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) throw new Refusal('api_key_missing');
  const key = keys.find((candidate) => candidate.key === given);
  if (key === undefined) throw new Refusal('api_key_invalid');
  if (key.state === 'revoked') throw new Refusal('api_key_revoked');
  if (key.state === 'expired') throw new Refusal('api_key_expired');
  return key;
}
