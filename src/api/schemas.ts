/**
 * Schemas of the API's replies. They are lenient: a field that is missing or has another type is null and never spoils the
 * rest. They cut what goes into histories, memos and failures: Temporal carries 2 MB of each, and a Workflow whose result or
 * failure is larger never ends.
 */
import { z } from 'zod';
import { isMediaKind, type ListedParam, type MediaKind } from '../contract/index.js';

/** Longest task ID that is used. The format is not published; the examples have about 20 characters. */
const MAX_TASK_ID_LENGTH = 256;
const MAX_TEXT_LENGTH = 500;
/** Servers refuse a longer address. */
const MAX_LINK_LENGTH = 8_192;
/** All links of a task: a result holds each of them again in percent-encoding, which is three times as long. */
const MAX_LINKS_BYTES = 256 * 1024;
/** Path, digest and size of the file behind a link, in a result. */
const FILE_BYTES = 500;

/** True for a text that is safe as one path segment: no dot segment, no control character, no half character. */
export function isTaskId(value: string): boolean {
  if (value.length === 0 || value.length > MAX_TASK_ID_LENGTH || value === '.' || value === '..') return false;
  // eslint-disable-next-line no-control-regex
  return !/[\u0000-\u001f\u007f-\u009f]/.test(value) && value.isWellFormed();
}

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

/** The fields of an object under our own spelling: `created_at` is `createdAt`. */
function camelCase<T extends object>(value: T): { [K in keyof T & string as CamelCase<K>]: T[K] } {
  const spelled = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  const entries = Object.entries(value).map(([name, field]: [string, unknown]) => [spelled(name), field]);
  return Object.fromEntries(entries) as ReturnType<typeof camelCase<T>>;
}

function orNull<T>(schema: z.ZodType<T>): z.ZodType<T | null> {
  return schema.nullable().catch(null);
}

const taskId = z.string().refine(isTaskId);
// A cut can halve a character.
const cut = (value: string): string => value.slice(0, MAX_TEXT_LENGTH).toWellFormed();
const text = orNull(z.string().min(1).transform(cut));
const credits = orNull(z.number().nonnegative());
/** ISO 8601 with a zone; without one, the time would be read in the zone of the Worker. */
const timestamp = orNull(z.iso.datetime({ offset: true }).max(64));
const link = z.url({ protocol: /^https?$/ }).max(MAX_LINK_LENGTH);
const texts = z
  .array(z.unknown())
  .catch([])
  .transform((values) => values.filter((value) => typeof value === 'string'));

/** The first links, as many as a result can carry. */
function firstLinks(urls: readonly string[]): string[] {
  let bytes = 0;
  return urls.filter((url) => (bytes += Buffer.byteLength(JSON.stringify(url)) + FILE_BYTES) <= MAX_LINKS_BYTES);
}

const resultSchema = z.object({
  primary_url: orNull(link),
  urls: texts.transform((urls) => firstLinks(urls.filter((url) => link.safeParse(url).success))),
});

/** A task as create and status check answer it. Only the ID is needed. */
export const taskSchema = z
  .object({
    id: taskId,
    // A reply without a status must not lose the ID; an unknown status waits.
    status: z.string().min(1).max(64).catch('unknown'),
    model: text,
    reserved_credits: credits,
    final_credits: credits,
    created_at: timestamp,
    updated_at: timestamp,
    result: orNull(resultSchema),
    error: orNull(z.object({ code: text, message: text })),
  })
  .transform(({ result, ...task }) => {
    const { urls, primary_url: primaryUrl } = result ?? { urls: [], primary_url: null };
    return { ...camelCase(task), urls: urls.length > 0 || primaryUrl === null ? urls : [primaryUrl] };
  });

const tokens = orNull(z.number().nonnegative());
// No history carries half a character.
const wellFormed = (words: string): string => words.toWellFormed();
const content = z.string().catch('').transform(wellFormed);

/**
 * The answer of a chat. One without text counts too: it was paid for, and asking again would pay again. A 2xx without any
 * sign of a chat completion does not count: it may come from a proxy.
 */
export const chatSchema = z
  .object({
    id: orNull(taskId),
    object: z.unknown().optional(),
    session_id: orNull(taskId),
    model: text,
    created_at: timestamp,
    message: orNull(z.object({ id: orNull(taskId), content })),
    usage: z
      .object({ input_tokens: tokens, output_tokens: tokens, total_tokens: tokens })
      .catch({ input_tokens: null, output_tokens: null, total_tokens: null })
      .transform(camelCase),
    credits: z.object({ reserved: credits, final: credits }).catch({ reserved: null, final: null }),
  })
  .refine(({ object, message }) => message !== null || object === 'chat.completion')
  .transform(camelCase);

/** An upload. Which fields a file has is not published in full; only its address is needed. */
export const fileSchema = z
  .object({
    id: orNull(taskId),
    url: orNull(link),
    // Sent back as it is: a cut one would be wrong.
    duration_token: orNull(z.string().min(1).max(MAX_LINK_LENGTH)),
    duration_seconds: orNull(z.number().positive()),
    mime_type: text,
  })
  .transform(camelCase);

export const creditsSchema = z.object({ current_credits: credits }).transform(camelCase);

/** The ID of a task that `taskSchema` refuses. */
export const idSchema = z.object({ id: z.string() });

/** The error envelope. The code has the form of an identifier, because it becomes a failure type. */
export const envelopeSchema = z.object({
  error: z.object({ code: z.string().regex(/^[\w.-]{1,64}$/), message: text, requestId: text }),
});

/** A model of the public list. A field that the list left out is null or empty. */
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
  /** A sentence about references, where the list has one. */
  readonly referenceMedia: string | null;
  /** Null where they cannot be read. Empty: the list does not name them. */
  readonly params: readonly ListedParam[] | null;
}

const name = z.string().min(1).max(128);
const flat = z.union([z.string(), z.number(), z.boolean()]);
const option = z.union([flat, z.looseObject({ value: flat }).transform(({ value }) => value)]);

/** A parameter of a model. How the list writes one is not published: the words are those of the models' pages. */
const paramSchema = z
  .looseObject({
    key: name.optional(),
    name: z.string().optional(),
    type: text,
    required: orNull(z.boolean()),
    default: orNull(flat),
    min: orNull(z.number()),
    max: orNull(z.number()),
    options: orNull(z.array(option)),
  })
  .transform((param, context): ListedParam => {
    const { key, type, required, default: preset, min, max, options } = param;
    const known = key ?? nameOf(param);
    if (known === null) context.addIssue('has no certain name');
    return { name: known ?? '', type, required, default: preset, min, max, options };
  });

/** The name of a param without a key, unless it may be words for people: then something else is the key. */
function nameOf(param: Readonly<Record<string, unknown>>): string | null {
  const { name: said } = param;
  const hasOther = ['id', 'param', 'slug'].some((field) => Object.hasOwn(param, field));
  return typeof said === 'string' && !hasOther && /^[a-z_]\w{0,127}$/.test(said) ? said : null;
}

const modelSchema = z
  .object({
    id: z.string().min(1).max(128),
    display_name: text,
    category: text,
    base_credits: credits,
    billing_type: text,
    // What 0 stands for is not published, and no model takes no prompt.
    max_prompt_length: orNull(z.number().positive()),
    supported_modes: texts,
    api_status: text,
    api_input_status: text,
    supported_api_inputs: texts,
    reference_media: text,
    // One that cannot be read could be any parameter, so none is known then.
    params: orNull(z.array(paramSchema)),
  })
  .transform((model): ModelInfo => ({
    ...camelCase(model),
    kind: isMediaKind(model.category) ? model.category : null,
  }));

/**
 * The list of models. An entry that cannot be read is left out, so that it does not hide the others. No page speaks of
 * pages, so any of the usual signs of another one counts.
 */
export const modelListSchema = z
  .looseObject({ data: z.array(z.unknown()) })
  .transform(({ data, has_more: more, next, next_cursor: cursor, next_page: page }) => {
    const models = data.flatMap((entry) => modelSchema.safeParse(entry).data ?? []);
    const goesOn = [more, next, cursor, page].some((sign) => sign !== undefined && sign !== null && sign !== false);
    return { models, whole: models.length === data.length && !goesOn };
  });
