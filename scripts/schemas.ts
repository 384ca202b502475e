/**
 * Input and result of `generateMedia` as zod schemas, from which `npm run schema` makes `schema/*.json`. Nothing loads them
 * at run time: `readInput` checks an input, and `test/schema` holds the two together.
 */
import { z } from 'zod';

// At least one character that is no space, and no control characters: written out, as not every language knows `\p{Cc}`.
// eslint-disable-next-line no-control-regex
const WORDS = /^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$/;

/** Null counts as left out, because other languages send it so. */
const text = (maxLength?: number): z.ZodString => {
  const some = z.string().regex(WORDS);
  return maxLength === undefined ? some : some.max(maxLength);
};

const duration = z
  .union([
    z.string().regex(/^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$/),
    z
      .number()
      .min(1_000)
      .max(30 * 86_400_000),
  ])
  .describe('"90s", "10m", "6h", "2d", or milliseconds; from 1 s to 30 days.');

const options = z.strictObject({
  maxAttempts: z
    .int()
    .min(1)
    .max(10)
    .nullish()
    .describe(
      'Paid tasks at most, over all runs of the ID; another only after one ended `failed`. 1 to 10, default 1.',
    ),
  deadline: duration.nullish().describe('How long to wait for the task, from the first POST. Default "6h".'),
  submitDeadline: duration.nullish().describe('How long a task that was never accepted is tried for. Default "24h".'),
  idempotencyWindow: duration
    .nullish()
    .describe('How long after an unanswered POST the same request is repeated. Default "12h".'),
  onActionNeeded: z
    .enum(['hold', 'fail'])
    .nullish()
    .describe('What to do when a person must act: wait for `resume` (default) or fail.'),
  maxCredits: z
    .number()
    .positive()
    .nullish()
    .describe('Credits that all attempts may cost, by the starting price of the model. Default: any number.'),
  taskQueue: text(255).nullish().describe('Task queue of the Rivya Workers; API calls go to `<taskQueue>-api`.'),
});

const earlier = z
  .looseObject({
    taskId: z.string().nullish(),
    urls: z.array(z.unknown()).nullish(),
    files: z.array(z.unknown()).nullish(),
  })
  .describe('The result of an earlier generation, as it was returned.');

const reference = z
  .strictObject({
    path: text(4_096).nullish().describe('Absolute path on the Worker, below one of its RIVYA_REFERENCE_ROOTS.'),
    uri: text(8_192).nullish().describe('A file in the store of the Worker, as `files[n].uri` of a result.'),
    url: text(8_192).nullish().describe('HTTPS address that Rivya fetches by itself.'),
    from: earlier.nullish().describe('The result of an earlier step, as it was returned; never its bytes.'),
    file: z.int().min(0).max(99).nullish().describe('Which file of `from`. Default 0.'),
    kind: z.enum(['image', 'video', 'audio']).describe('`image`, `video` or `audio`.'),
    name: text(255).nullish().describe('File name for the API.'),
    mimeType: text(128)
      .regex(/^[\w.+-]+\/[\w.+-]+$/)
      .nullish()
      .describe('Media type; default: by the signature of the file.'),
    durationSeconds: z.number().positive().max(86_400).nullish().describe('Length of a video or audio, for the API.'),
    durationToken: text(8_192).nullish().describe('With `url` only: uploads made here carry their own.'),
  })
  .describe('Exactly one of `path`, `uri`, `url` and `from` is required.');

export const inputSchema = z
  .strictObject({
    model: text(128).describe('Public model ID, for example "z-image".'),
    prompt: z
      .string()
      .regex(/\S/)
      .nullish()
      .describe('Text prompt. `prompt`, `params`, `references` or `taskId` is required.'),
    params: z.record(z.string(), z.unknown()).nullish().describe('Model parameters, sent as they are.'),
    references: z.array(reference).max(20).nullish().describe('Images, videos and audio to make it from, at most 20.'),
    clientRequestId: text(128).nullish().describe('Your own trace ID, sent as `client_request_id`.'),
    idempotencyKey: z
      .string()
      .regex(/^[\x21-\x7e]{1,255}$/)
      .nullish()
      .describe('Your own idempotency key, sent as it is; not with `taskId`, nor with `maxAttempts` above 1.'),
    taskId: text(256).nullish().describe('Wait for a task that exists; nothing is submitted or paid.'),
    labels: z
      .record(z.string().max(64), text(256).nullable())
      .nullish()
      .meta({ maxProperties: 20 })
      .describe('Your own labels, for `charges`. They never go to the API.'),
    options: options.nullish(),
  })
  .meta({ title: 'Input of the Workflow generateMedia' });

const credits = z.number().nullable();

const storedFile = z
  .object({
    uri: z.string().describe('Where it is in the store.'),
    bytes: z.number(),
    sha256: z.string(),
    contentType: z.string().nullable(),
    sourceUrl: z.string().describe('Where it came from, without the query.'),
  })
  .readonly();

/** Later versions may add fields, so others are allowed. */
export const resultSchema = z
  .looseObject({
    status: z.literal('succeeded').describe('`succeeded`: everything else is a failure.'),
    taskId: z.string().describe('The task at Rivya.'),
    model: z.string().describe('Public model ID.'),
    idempotencyKey: z.string().nullable().describe('The key of the POST; null for a task that the input named.'),
    reservedCredits: credits.describe('Credits that the API reserved; null where it did not say.'),
    finalCredits: credits.describe('Credits that the task cost; null where the API did not say.'),
    urls: z.array(z.string()).readonly().describe('Result links as the API gave them. They expire.'),
    primaryUrl: z.string().nullable().describe('The first of `urls`.'),
    files: z.array(storedFile).readonly().describe('The files in the store of the Worker; empty when it has none.'),
    attempts: z.int().describe('Paid tasks that were needed.'),
    statusChecks: z.int().describe('Status calls (GET) that were made.'),
    reused: z.boolean().describe('True when this run did not create the task.'),
    simulated: z.boolean().describe('True when the emulator answered: nothing was paid.'),
    createdAt: z.string().nullable().describe('By the clock of the API (ISO 8601).'),
    updatedAt: z.string().nullable().describe('The same.'),
  })
  .meta({ title: 'Result of the Workflow generateMedia' });

/** The JSON Schemas by file name. */
export function jsonSchemas(): Record<string, object> {
  return {
    'generate-media-input.json': z.toJSONSchema(inputSchema, { io: 'input' }),
    // As it is read: a later version may have put more into it.
    'generate-media-result.json': z.toJSONSchema(resultSchema, { io: 'input' }),
  };
}
