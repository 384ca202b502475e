/** What the Activities take and return. The Workflow sees these types only, never the code. */

import type { ChatAnswer } from './chat.js';
import type { UploadInput, UploadResult } from './references.js';

/** Media kinds for which the poll schedule differs. `null` where the model list could not tell. */
export type MediaKind = 'image' | 'video' | 'audio';

export function isMediaKind(value: unknown): value is MediaKind {
  return value === 'image' || value === 'video' || value === 'audio';
}

/** A task as the API last described it. Fields that a reply left out are null. */
export interface TaskSnapshot {
  readonly taskId: string;
  /** `queued`, `processing`, `succeeded`, `failed`, or a status this version does not know (which waits). */
  readonly status: string;
  readonly model: string | null;
  readonly kind: MediaKind | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  /** Age of the task in milliseconds, both times from the API's own clock; null where it did not tell. */
  readonly ageMs: number | null;
  /** When it was asked for, on the Service's clock. Status checks only, and not in histories of older Workers. */
  readonly askedAt?: number;
  readonly urls: readonly string[];
  readonly error: { readonly code: string | null; readonly message: string | null } | null;
  /** True when the reply came from the emulator: nothing was paid and the media is not real. */
  readonly simulated: boolean;
  readonly requestId: string | null;
}

/** A POST with an unknown outcome: a task may exist under its key. Lives in heartbeats, failure details, memo and receipt. */
export interface UnansweredPost {
  /** Of the first POST under the key that may have reached the API; milliseconds since the epoch, on the Worker's clock. */
  readonly firstPostedAt: number;
  /** Of the last one; left out where nobody knows it. */
  readonly lastPostedAt?: number;
  /** Short digest of the API key that the POST carried (never the key), or `unknown`. */
  readonly fingerprint: string;
  /** `requestId` of the last error reply: the same one again means that the API has stored the error under the key. */
  readonly errorRequestId?: string;
}

/** How far a generation has come: the number in its idempotency key, and which paid attempt that key is for. */
export interface Position {
  /** From 1. See `idempotencyKey` in `src/policy/key.ts` for when it moves. */
  readonly keyNumber: number;
  /** Number of the paid attempt, from 1. */
  readonly attempt: number;
  /** A POST under this key number that has no answer. */
  readonly unanswered: UnansweredPost | null;
  /** Failed tasks of the attempts before this one. */
  readonly earlier: readonly string[];
}

/** Input of the Activities that pay: `rivyaSubmit` and `rivyaChat`. */
export interface PaidCallInput extends Omit<Position, 'earlier'> {
  readonly idempotencyKey: string;
  /** The key of number 1 (or the caller's own key). It names the receipts of the generation. */
  readonly baseKey: string;
  readonly model: string;
  /** The caller's own labels, for the receipt. */
  readonly labels: Readonly<Record<string, string>>;
  /** The exact bytes of the request body, as text. */
  readonly body: string;
  /** Digest by which the request is compared, where it is not that of the body: references count by their content. */
  readonly digest?: string;
  /** Addresses in the body that uploads of ours were answered with: the spending policy judges the others. */
  readonly uploadUrls?: readonly string[];
  /** Milliseconds after `firstPostedAt` during which an unanswered POST may be repeated. */
  readonly idempotencyWindowMs: number;
  /** Run ID of the run that has looked at receipts and earlier runs. Any other run looks before it posts. */
  readonly lookedBy: string | null;
  /** Why a person has accepted to post again although a task may exist, for the receipt. */
  readonly riskReason: string | null;
  /** Credits that all attempts together may cost, by the starting price; left out: any number. */
  readonly maxCredits?: number;
}

/** Result of the Activities that pay. */
export interface PaidCallResult<Answer> {
  /** Null where an earlier run has come to a higher key number: nothing was posted, go on at `position`. */
  readonly answer: Answer | null;
  /** Where receipts or earlier runs say that the generation is; null where they say nothing new. */
  readonly position: Position | null;
  /** The key under which the answer was made. */
  readonly idempotencyKey: string;
  /** Of the first POST under the key, as in `UnansweredPost`; null where nothing was posted. */
  readonly firstPostedAt: number | null;
  /** Milliseconds from the first POST of this Activity to its answer. A length of time, because each Worker has its own clock. */
  readonly sinceFirstPostMs: number;
  /** True when a receipt or an earlier run knew the answer, so that nothing was posted. */
  readonly reused: boolean;
  /** The run that has looked. */
  readonly lookedBy: string;
  readonly attributes?: Attributes;
}

/** Whether the namespace has the search attributes; left out where the Worker cannot tell. */
export type Attributes = boolean;

export interface CheckInput {
  readonly taskId: string;
  /** Names the receipts in which the end of the task is noted; left out for a task that the input names. */
  readonly baseKey?: string;
  /** The key number under which the task was made, beside `baseKey`. */
  readonly keyNumber?: number;
  /** Set where a person says that this POST has made the task: it must fit, and belong to no other generation. */
  readonly named?: UnansweredPost;
}

export interface CheckResult {
  readonly task: TaskSnapshot;
  /** GETs that this Activity made, retries included. */
  readonly checks: number;
  /** True where the process that checked stores results too and has no store: there is nothing to ask it for. */
  readonly linksOnly?: boolean;
  readonly attributes?: Attributes;
}

export interface StoreInput {
  readonly taskId: string;
  readonly urls: readonly string[];
  readonly workflowId: string;
  /** For the sidecars of the files. */
  readonly about: ResultAbout;
}

/** What a sidecar tells of the generation beside what the file itself tells. */
export interface ResultAbout {
  readonly model: string;
  /** The request body, with prompt and params. */
  readonly body: string;
  /** Null for a task that was taken up by its ID. */
  readonly idempotencyKey: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  readonly simulated: boolean;
}

export interface StoredFile {
  readonly uri: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly contentType: string | null;
  /** Where it came from, without the query (which may carry a signature). */
  readonly sourceUrl: string;
}

export interface StoreResult {
  /** Empty when the Worker has no store. */
  readonly files: readonly StoredFile[];
}

/** What two inputs must have in common to be one paid thing. */
export interface InputIdentity {
  readonly taskId: string | null;
  readonly ownKey: string | null;
  /** Digest of the request body and the places of its references. */
  readonly digest: string;
}

export interface ResultInput {
  /** Of a child that an earlier run has started. */
  readonly workflowId: string;
  /** `generateMedia` or `rivyaChat`. */
  readonly workflowType: string;
  readonly identity: InputIdentity;
}

export interface ResultOfChild {
  /** How its latest run has ended, in the words of the Service. */
  readonly status: string;
  /** What it returned, where it is `COMPLETED`. */
  readonly result?: unknown;
}

export interface EstimateInput {
  /** Model IDs, each once. */
  readonly models: readonly string[];
}

export interface EstimateResult {
  /** Starting price by model ID; null where the list of models does not tell. */
  readonly prices: Readonly<Record<string, number | null>>;
  readonly currentCredits: number | null;
}

/** The Activities by their registered names. */
export interface RivyaActivities {
  rivyaSubmit(input: PaidCallInput): Promise<PaidCallResult<TaskSnapshot>>;
  rivyaCheck(input: CheckInput): Promise<CheckResult>;
  rivyaStore(input: StoreInput): Promise<StoreResult>;
  rivyaResult(input: ResultInput): Promise<ResultOfChild>;
  rivyaUpload(input: UploadInput): Promise<UploadResult>;
  rivyaChat(input: PaidCallInput): Promise<PaidCallResult<ChatAnswer>>;
  rivyaEstimate(input: EstimateInput): Promise<EstimateResult>;
}
