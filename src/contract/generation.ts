/** A generation as its users see it: options, input, result, state and memo. Imports types only and contains no code. */
import type { StoredFile, UnansweredPost } from './activities.js';
import type { ReferenceInput } from './references.js';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd';

/**
 * A length of time: `"90s"`, `"10m"`, `"6h"`, `"2d"`, or milliseconds. A text that is not known before the program runs, such
 * as a setting, is given as `text as Duration`: it is checked when it is used.
 */
export type Duration = number | `${number}${DurationUnit}` | `${number} ${DurationUnit}`;

/** The fields, at least one of which is given. */
type OneOrMore<Fields, Name extends keyof Fields> = Fields & { [One in Name]: Required<Pick<Fields, One>> }[Name];

export interface GenerationOptions {
  /** Paid tasks that may be made for this generation; another is only made after one ended `failed`. 1 to 10, default 1. */
  readonly maxAttempts?: number;
  /** How long to wait for the task, counted from the first POST, not while held. Default `"6h"`, at most 30 days. */
  readonly deadline?: Duration;
  /** How long a submit is tried that the API does not accept. Default `"24h"`, at most 30 days. */
  readonly submitDeadline?: Duration;
  /** How long after an unanswered POST the same request is repeated. Default `"12h"`: how long the API remembers a key is not published. */
  readonly idempotencyWindow?: Duration;
  /** What to do when a person must act (credits, key, scope): wait for `resume` (default) or fail. */
  readonly onActionNeeded?: 'hold' | 'fail';
  /**
   * Credits that all attempts together may cost, a number above 0. Judged before each submit by the starting price of the
   * model, the only price that is known before; the API may reserve more. Above it, or without a known price:
   * `BudgetReached`. Default: any number.
   */
  readonly maxCredits?: number;
  /** Task queue of the Rivya Workers; API calls go to `<taskQueue>-api`. */
  readonly taskQueue?: string;
}

/** What a generation is made from, at least one of `prompt`, `params` and `references`. These fields, and no others, go into the request body. */
export type GenerationRequest = OneOrMore<RequestFields, 'prompt' | 'params' | 'references'>;

interface RequestFields {
  /** Public model ID, for example `z-image`. */
  readonly model: string;
  /** Text prompt; many models need one, and each model has its own longest length. */
  readonly prompt?: string;
  /** Model parameters, sent as they are. Values of `select` parameters are strings, also booleans and numbers. */
  readonly params?: { readonly [key: string]: JsonValue };
  /** Media to make it from, at most 20, uploaded before the submit; sent as `params.referenceMediaItems`. */
  readonly references?: readonly ReferenceInput[];
  /** Your own trace ID, at most 128 characters, sent as `client_request_id`. */
  readonly clientRequestId?: string;
}

/**
 * Input of the Workflow `generateMedia`: one JSON object, from any language. It needs at least one of `prompt`, `params`,
 * `references` and `taskId`.
 */
export type GenerateMediaInput = OneOrMore<InputFields, 'prompt' | 'params' | 'references' | 'taskId'>;

interface InputFields extends RequestFields {
  /** Your own idempotency key, 1 to 255 visible ASCII characters; sent as it is. */
  readonly idempotencyKey?: string;
  /** Wait for a task that exists; nothing is submitted and nothing is paid. */
  readonly taskId?: string;
  /** Your own labels, for `charges`: at most 20, names to 64 and texts to 256 characters. They never go to the API. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly options?: GenerationOptions;
}

/** Result of a generation. Credits are as the API reported them; null where it did not. */
export interface GenerationResult {
  readonly status: 'succeeded';
  readonly taskId: string;
  readonly model: string;
  readonly idempotencyKey: string | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  /** Result links as the API gave them. They expire; how soon is not published. */
  readonly urls: readonly string[];
  readonly primaryUrl: string | null;
  /** The files in the store of the Worker; empty when it has none. */
  readonly files: readonly StoredFile[];
  /** Paid tasks that were needed (1 unless `maxAttempts` allowed more and one failed). */
  readonly attempts: number;
  /** Status calls (GET) that were made, retries included. */
  readonly statusChecks: number;
  /** True when this run did not create the task: the input named it, or it existed before this run's first POST. */
  readonly reused: boolean;
  /** True when the emulator answered: nothing was paid and the media is not real. */
  readonly simulated: boolean;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
}

/** Why a Workflow waits for a person. */
export interface Hold {
  readonly code: string;
  readonly message: string;
  readonly action: string;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  readonly since: string;
  /** The link of the result that could not be stored, as the API gave it; it expires (`ResultUnavailable` only). */
  readonly link?: string;
  /** Media type of what the link gave, where it is no image, video or audio: `resume` with `storeAsIs` stores it. */
  readonly found?: string;
}

export type Phase =
  'starting' | 'uploading' | 'submitting' | 'waiting' | 'storing' | 'held' | 'succeeded' | 'failed' | 'cancelled';

/** The times by which half, and 9 of 10, of the last tasks like it had ended, counted from its creation. ISO 8601. */
export interface EndRange {
  readonly from: string;
  readonly to: string;
}

/** When a task should end, and how sure that is. */
export interface ExpectedEnd extends EndRange {
  /** Earlier tasks that it rests on, 5 to 40. */
  readonly runs: number;
  /** True once `to` has passed. */
  readonly late: boolean;
}

/** Answer of the query `generation`. Times are ISO 8601 unless they end in `Ms` or `At` with a number. */
export interface GenerationState {
  readonly phase: Phase;
  /** The last status that the API gave for the task; null before it was accepted. */
  readonly status: string | null;
  readonly model: string;
  readonly taskId: string | null;
  readonly idempotencyKey: string | null;
  /** The number in the idempotency key, from 1. */
  readonly keyNumber: number;
  readonly attempt: number;
  readonly statusChecks: number;
  readonly nextCheckAt: string | null;
  /** When the task should end, by earlier tasks like it; null below 5 of them, and once it has ended. */
  readonly expected: ExpectedEnd | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  readonly hold: Hold | null;
  /** A POST without an answer: a task may exist. Null once its task is known, or a person has accepted to post again. */
  readonly unanswered: UnansweredPost | null;
  /** Time at which a submit was scheduled whose outcome is not known yet (milliseconds since the epoch), or null. */
  readonly submittingSince: number | null;
  /** ID of the run whose recall was completed, or null. */
  readonly lookedBy: string | null;
  /** The reason that a person gave to post again although a task might exist, or null. */
  readonly riskReason: string | null;
  /** Tasks of the attempts before this one, which failed. */
  readonly earlier: readonly string[];
  /** Final credits of those tasks by their IDs, as far as this run has seen them; left out where it has seen none. */
  readonly earlierCredits?: Readonly<Record<string, number>>;
  readonly simulated: boolean;
  /** True once an Activity has said that the namespace has the search attributes. */
  readonly listable: boolean;
}

/** The memo of a Workflow: readable when no Worker runs, and by later runs of the same Workflow ID. */
export interface GenerationMemo extends Omit<
  GenerationState,
  'statusChecks' | 'nextCheckAt' | 'expected' | 'unanswered' | 'submittingSince' | 'simulated' | 'listable'
> {
  /**
   * A POST under `keyNumber` without an answer; null where the answer is known. Written in the Workflow Task that schedules
   * the submit, with the time of that Task, because from then on a POST may go out.
   */
  readonly mayPostSince: UnansweredPost | null;
  /** The key of number 1, or the caller's own; null for a task that the input names. */
  readonly baseKey: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Digest of the request body, with references by their content: tasks of the same input have the same one. */
  readonly bodyDigest: string;
  /** As it was when the memo was written; left out where nothing was known. */
  readonly expectedEnd?: EndRange;
}

/** Argument of `changeDeadline` (Update and Signal). */
export interface ChangeDeadlineInput {
  /** In the place of `options.deadline`, counted from the first submit too, holds left out: 1 s to 30 days. */
  readonly deadline: Duration;
}

/** Argument of `resume` (Update and Signal); every field may be left out. */
export interface ResumeInput {
  /** After `SubmitUnresolved`: the task that was found in the Rivya Studio. */
  readonly taskId?: string;
  /** After `SubmitUnresolved`: why it is right to post again although a task may exist. */
  readonly reason?: string;
  /** After a `ResultUnavailable` with `found`: true to store what the link gave as it is; other content of the link holds again. */
  readonly storeAsIs?: boolean;
  /** Resumes only where this code holds, one of `SHARED_CODES`: the account releases all that one cause holds. */
  readonly code?: string;
}
