import { z } from 'zod';
import { InvalidRequest } from './errors.js';

/** How deep `params` may nest; deeper than any model needs, and shallow enough never to exhaust the stack. */
const MAX_DEPTH = 64;

/** The first value below `value` that JSON would not carry exactly, as a path and a problem, or null. */
function inexact(value: unknown, path: readonly PropertyKey[]): { path: PropertyKey[]; problem: string } | null {
  if (typeof value === 'number') {
    const exact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
    return exact ? null : { path: [...path], problem: 'this number cannot be carried exactly; send it as a string' };
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return null;
  if (typeof value !== 'object') return { path: [...path], problem: 'not a JSON value' };
  if (path.length > MAX_DEPTH) return { path: [...path], problem: `nested deeper than ${MAX_DEPTH} levels` };
  for (const [key, child] of Object.entries(value)) {
    const found = inexact(child, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}

const params = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be an object',
  )
  .superRefine((value, context) => {
    const found = inexact(value, []);
    if (found !== null) context.addIssue({ code: 'custom', path: found.path, message: found.problem });
  });

/** Body of a create, checked before it is sent: no field that the API does not document, no inexact number. */
export const createRequestSchema = z.strictObject({
  // Longer than any published model ID; keeps a prompt in the wrong field from going out as a model.
  model: z.string().min(1).max(128),
  prompt: z.string().min(1).optional(),
  params: params.optional(),
  // The API publishes 128 for the same field of its Files API and nothing for this one.
  client_request_id: z.string().min(1).max(128).optional(),
});

/**
 * Checks what a paid call is about to send.
 *
 * @throws InvalidRequest, which names the first field that is wrong.
 */
export function checkRequest(idempotencyKey: string, body: string, schema: z.ZodType): void {
  if (!/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
    throw new InvalidRequest('idempotencyKey', 'must be 1 to 255 visible ASCII characters');
  }
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new InvalidRequest('body', 'is not JSON');
  }
  if (!body.isWellFormed()) throw new InvalidRequest('body', 'has half a character, which UTF-8 cannot carry');
  const issue = schema.safeParse(json).error?.issues[0];
  if (issue === undefined) return;
  const unknownField = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  throw new InvalidRequest(
    unknownField ?? (issue.path.length === 0 ? 'body' : issue.path.join('.')),
    unknownField === undefined ? issue.message : 'the API takes no such field',
  );
}
