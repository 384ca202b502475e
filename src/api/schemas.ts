import { z } from 'zod';
import { isMediaKind, type MediaKind } from '../contract/index.js';

/** Longest task ID that is used. The format is not published; the examples have about 20 characters. */
const MAX_TASK_ID_LENGTH = 256;

/** True for a text that is safe as one path segment: no dot segment, no control character, no half character. */
export function isTaskId(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= MAX_TASK_ID_LENGTH &&
    value !== '.' &&
    value !== '..' &&
    // eslint-disable-next-line no-control-regex
    !/[\u0000-\u001f\u007f-\u009f]/.test(value) &&
    value.isWellFormed()
  );
}

// What is read goes into histories, memos and failures. Temporal carries 2 MB of each, and a Workflow whose result or
// failure is larger never ends.
/** Words for a person. */
const MAX_TEXT_LENGTH = 500;
/** Servers refuse a longer address, so it leads nowhere. */
const MAX_LINK_LENGTH = 8_192;
/** All links of a task: a result holds each of them again in percent-encoding, which is three times as long. */
const MAX_LINKS_BYTES = 256 * 1024;
/** What a result says of the file behind a link: path, digest, size. */
const FILE_BYTES = 500;

// Replies are read leniently: a field that is missing or has another type is null and never spoils the rest.
export const text = z
  .string()
  .min(1)
  // A cut can halve a character.
  .transform((value) => value.slice(0, MAX_TEXT_LENGTH).toWellFormed())
  .nullable()
  .catch(null);
export const credits = z.number().nonnegative().nullable().catch(null);
/** ISO 8601 with a zone; without one, the time would be read in the zone of the Worker. */
export const timestamp = z.iso.datetime({ offset: true }).max(64).nullable().catch(null);
const link = z.url({ protocol: /^https?$/ }).max(MAX_LINK_LENGTH);
const texts = z.array(z.unknown()).catch([]).transform(strings);

function strings(values: readonly unknown[]): string[] {
  return values.filter((value): value is string => typeof value === 'string');
}

/** The first links, as far as a result can carry them. */
function carried(urls: readonly string[]): string[] {
  let bytes = 0;
  return urls.filter((url) => (bytes += Buffer.byteLength(JSON.stringify(url)) + FILE_BYTES) <= MAX_LINKS_BYTES);
}

const resultSchema = z
  .object({
    primary_url: link.nullable().catch(null),
    urls: texts.transform((urls) => carried(urls.filter((url) => link.safeParse(url).success))),
  })
  .nullable()
  .catch(null);

/** A task as create and status check answer it. Only the ID is needed. */
export const taskSchema = z
  .object({
    id: z.string().refine(isTaskId),
    // A reply without a status is no reason to lose the ID; a status that nobody knows waits.
    status: z.string().min(1).max(64).catch('unknown'),
    model: text,
    reserved_credits: credits,
    final_credits: credits,
    created_at: timestamp,
    updated_at: timestamp,
    result: resultSchema,
    error: z.object({ code: text, message: text }).nullable().catch(null),
  })
  .transform(({ result, ...task }) => ({
    ...task,
    urls:
      result === null ? [] : result.urls.length > 0 || result.primary_url === null ? result.urls : [result.primary_url],
  }));

/** An upload. Which fields a file has is not published in full; only its address is needed. */
export const fileSchema = z.object({
  id: z.string().refine(isTaskId).nullable().catch(null),
  url: link.nullable().catch(null),
  // Sent back as it is: a cut one would be a wrong one.
  duration_token: z.string().min(1).max(MAX_LINK_LENGTH).nullable().catch(null),
  duration_seconds: z.number().positive().nullable().catch(null),
  mime_type: text,
});

export const creditsSchema = z.object({ current_credits: credits });

/** The ID of a task that could not be read. */
export const idSchema = z.object({ id: z.string() });

/** The error envelope. The code has the form of an identifier, because it becomes a failure type. */
export const envelopeSchema = z.object({
  error: z.object({ code: z.string().regex(/^[\w.-]{1,64}$/), message: text, requestId: text }),
});

/** A model as the public list describes it. What the list left out is null or empty. */
export interface ModelInfo {
  readonly id: string;
  readonly displayName: string | null;
  /** `image`, `video`, `audio`, `chat`, or a category this version does not know. */
  readonly category: string | null;
  /** The category where it is a kind of media, else null. */
  readonly kind: MediaKind | null;
  /** Starting price; what a generation costs is its `reserved_credits`. */
  readonly baseCredits: number | null;
  readonly billingType: string | null;
  readonly maxPromptLength: number | null;
  readonly supportedModes: readonly string[];
  /** `available`, `coming_soon`, `studio_only`, or another word. */
  readonly apiStatus: string | null;
  readonly apiInputStatus: string | null;
  readonly supportedApiInputs: readonly string[];
}

const modelSchema = z
  .object({
    id: z.string().min(1).max(128),
    display_name: text,
    category: text,
    base_credits: credits,
    billing_type: text,
    max_prompt_length: credits,
    supported_modes: texts,
    api_status: text,
    api_input_status: text,
    supported_api_inputs: texts,
  })
  .transform((model): ModelInfo => ({
    id: model.id,
    displayName: model.display_name,
    category: model.category,
    kind: isMediaKind(model.category) ? model.category : null,
    baseCredits: model.base_credits,
    billingType: model.billing_type,
    maxPromptLength: model.max_prompt_length,
    supportedModes: model.supported_modes,
    apiStatus: model.api_status,
    apiInputStatus: model.api_input_status,
    supportedApiInputs: model.supported_api_inputs,
  }));

/** The list of models; an entry that cannot be read is skipped, so that one of them does not hide the others. */
export const modelListSchema = z
  .object({ data: z.array(z.unknown()) })
  .transform(({ data }) => data.flatMap((entry) => modelSchema.safeParse(entry).data ?? []));
