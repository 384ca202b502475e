/** Inputs and results of the Activities. They stand in histories, so a field is never renamed. Workflows import these types. */
import type { LookInput, LookResult, ReadInput, ReadResult, ReleaseInput, ReleaseResult } from './account.js';
import type { SetRateInput, SetRateResult } from './account.js';
import type { BatchTickInput, BatchTickResult } from './batch.js';
import type { ChatAnswer } from './chat.js';
import type { UploadInput, UploadResult } from './references.js';

/** The kind of medium that a model makes. The schedule of status checks depends on it. */
export type MediaKind = 'image' | 'video' | 'audio';

export function isMediaKind(value: unknown): value is MediaKind {
  return value === 'image' || value === 'video' || value === 'audio';
}

/** When a task is expected to end, by the durations of earlier tasks like it. */
export interface Expectation {
  /** Earlier tasks that it rests on, from 1 to 40: the last ones. */
  readonly runs: number;
  /** The duration that half of them had, and the one within which 9 of 10 ended: milliseconds, not counted from now. */
  readonly p50Ms: number;
  readonly p90Ms: number;
  /** Milliseconds from this answer until the next check is worth its call; null where the fixed schedule counts. */
  readonly checkInMs: number | null;
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
  /** Age of the task in milliseconds, both times from the API's own clock; null where the reply names no time. */
  readonly ageMs: number | null;
  /** When the status was asked for, on the Service's clock. Status checks only, and not in histories of older Workers. */
  readonly askedAt?: number;
  /** Left out where nothing was learned, by Workers that do not learn, and for a task that has ended. */
  readonly expectation?: Expectation;
  readonly urls: readonly string[];
  readonly error: { readonly code: string | null; readonly message: string | null } | null;
  /** True when the reply came from the emulator: nothing was paid and the media is not real. */
  readonly simulated: boolean;
  readonly requestId: string | null;
}

/** An unanswered POST: a task may exist under its key. It stands in heartbeats, failure details, memo and receipt. */
export interface UnansweredPost {
  /** Time of the first POST under the key that may have reached the API: milliseconds since the epoch, on the Worker's clock. */
  readonly firstPostedAt: number;
  /** Time of the last such POST; left out where it is not known. */
  readonly lastPostedAt?: number;
  /** Short digest of the API key that the POST carried (never the key), or `unknown`. */
  readonly fingerprint: string;
  /** `requestId` of the last error reply: the same one again means that the API has stored the error under the key. */
  readonly errorRequestId?: string;
}

/** The progress of a generation: its key number, and the attempt which that key pays for. */
export interface Position {
  /** From 1. The comment of `idempotencyKey` in `src/policy/key.ts` says when it moves on. */
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
  /** Digest of the request with references by their content; left out: that of the body. */
  readonly digest?: string;
  /** Addresses in the body that came from our own uploads: the spending policy judges all others. */
  readonly uploadUrls?: readonly string[];
  /** Milliseconds after `firstPostedAt` during which an unanswered POST may be repeated. */
  readonly idempotencyWindowMs: number;
  /** ID of the run whose recall was completed. Any other run reads receipts and earlier runs before it posts. */
  readonly lookedBy: string | null;
  /** The reason that a person gave to post again although a task may exist, for the receipt. */
  readonly riskReason: string | null;
  /** Credits that all attempts together may cost, by the starting price; left out: any number. */
  readonly maxCredits?: number;
}

/** Result of the Activities that pay. */
export interface PaidCallResult<Answer> {
  /** Null where an earlier run has reached a higher key number: nothing was posted, and the next submit is at `position`. */
  readonly answer: Answer | null;
  /** The position that receipts or earlier runs name; null where they name no later one. */
  readonly position: Position | null;
  /** The key under which the answer was made. */
  readonly idempotencyKey: string;
  /** Of the first POST under the key, as in `UnansweredPost`; null where nothing was posted. */
  readonly firstPostedAt: number | null;
  /** Milliseconds from the first POST of this Activity to its answer. A length of time, because each Worker has its own clock. */
  readonly sinceFirstPostMs: number;
  /** True when a receipt or an earlier run knew the answer, so that nothing was posted. */
  readonly reused: boolean;
  /** ID of this run, whose recall was completed. */
  readonly lookedBy: string;
  /** As in `FailureDetails`. */
  readonly attributes?: boolean;
}

export interface CheckInput {
  readonly taskId: string;
  /** Names the receipts in which the end of the task is noted; left out for a task that the input names. */
  readonly baseKey?: string;
  /** The key number under which the task was made, beside `baseKey`. */
  readonly keyNumber?: number;
  /** The POST that has made the task, as a person says. The task must fit it and belong to no other generation. */
  readonly named?: UnansweredPost;
  /** What its end teaches about tasks like it; left out for a task that this run did not make. */
  readonly timing?: TaskTiming;
}

/** When a task was made and last seen to run, in milliseconds since the epoch on the Service's clock, and which tasks are like it. */
export interface TaskTiming {
  readonly model: string;
  /** Digest of the params that matter, of `likenessOf`. */
  readonly likeness: string;
  readonly bornAt: number;
  readonly runningAt: number;
}

export interface CheckResult {
  readonly task: TaskSnapshot;
  /** GETs that this Activity made, retries included. */
  readonly checks: number;
  /** True where the process that checked also stores results, and has no store: then no file can be stored. */
  readonly linksOnly?: boolean;
  /** As in `FailureDetails`. */
  readonly attributes?: boolean;
}

export interface StoreInput {
  readonly taskId: string;
  readonly urls: readonly string[];
  readonly workflowId: string;
  /** A person has said that this is what was ordered: it is stored as it is. */
  readonly asIs?: SeenResult;
  /** For the sidecars of the files. */
  readonly about: ResultAbout;
}

/** What a link gave in place of an image, a video or audio. */
export interface SeenResult {
  /** Number of the result, from 1. */
  readonly file: number;
  /** SHA-256 of its first 4,100 bytes. */
  readonly beginning: string;
}

/** The facts about a generation in the sidecar of its file. */
export interface ResultAbout extends Pick<PaidCallInput, 'model' | 'labels'>, Paid {
  /** The request body, with prompt and params. */
  readonly body: string;
  /** Null for a task that the input names. */
  readonly idempotencyKey: string | null;
}

type Paid = Pick<TaskSnapshot, 'createdAt' | 'reservedCredits' | 'finalCredits' | 'simulated'>;

export interface StoredFile {
  readonly uri: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly contentType: string | null;
  /** The link that it came from, without the query, in which a signature may stand. */
  readonly sourceUrl: string;
}

export interface StoreResult {
  /** Empty when the Worker has no store. */
  readonly files: readonly StoredFile[];
}

/** The part of an input that identifies a generation: a start attaches to a run with the same identity. */
export interface InputIdentity {
  readonly taskId: string | null;
  readonly ownKey: string | null;
  /** Digest of the request body and the places of its references. */
  readonly digest: string;
}

export interface ResultInput {
  /** ID of a child that an earlier run has started. */
  readonly workflowId: string;
  /** `generateMedia` or `rivyaChat`. */
  readonly workflowType: string;
  readonly identity: InputIdentity;
}

export interface ResultOfChild {
  /** Status of its latest run, in the words of the Service. */
  readonly status: string;
  /** Its result, where the status is `COMPLETED`. */
  readonly result?: unknown;
}

export interface EstimateInput {
  /** Model IDs, each once. */
  readonly models: readonly string[];
}

export interface EstimateResult {
  /** Starting price by model ID; null where the list of models names none. */
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
  rivyaBatchTick(input: BatchTickInput): Promise<BatchTickResult>;
  rivyaAccountLook(input: LookInput): Promise<LookResult>;
  rivyaSetRate(input: SetRateInput): Promise<SetRateResult>;
  rivyaRelease(input: ReleaseInput): Promise<ReleaseResult>;
  rivyaRead(input: ReadInput): Promise<ReadResult>;
}
