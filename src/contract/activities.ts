/** What the Activities take and return. The Workflow sees these types only, never the code. */

/** Media kinds for which the poll schedule differs. `null` where the model list could not tell. */
export type MediaKind = 'image' | 'video' | 'audio';

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

/** What is known of a POST whose answer is not known. Lives in heartbeat details, then in failure details. */
export interface Fence {
  /** Milliseconds since the epoch, on the Worker's clock, of the first POST that may have reached the API. */
  readonly firstPostedAt: number;
  /** Short digest of the API key that the POST carried (never the key). */
  readonly fingerprint: string;
  /** The key of the POST, so that another run can tell whose heartbeat it finds. Not in fences of older Workers. */
  readonly idempotencyKey?: string;
  /** Run ID of the Workflow run whose heartbeat this is (heartbeats only). */
  readonly runId?: string;
  /** When a person accepted to post again, if this POST came after that (milliseconds, on the Workflow's clock). */
  readonly riskAcceptedAt?: number;
  /** True in the heartbeat of the very Activity that has sent it: nobody else can write that. */
  readonly sent?: true;
  /** The last error reply and how often in a row it came with this `requestId`: the same one again is a stored one. */
  readonly error?: { readonly requestId: string; readonly times: number };
}

/** Which part of a Workflow ID an idempotency key stands for, and what a person calls it. */
export interface GenerationIdentity {
  /** Step of a composed Workflow, or null. */
  readonly step: string | null;
  readonly take: number;
  readonly attempt: number;
  readonly model: string;
  /** The caller's own labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** The first key of the attempt. Others follow it where the API has stored a refusal; one attempt has one task. */
  readonly firstKey: string;
}

export interface SubmitInput {
  readonly idempotencyKey: string;
  /** For the receipt. Not in the histories of Workflows that began before there were receipts. */
  readonly identity?: GenerationIdentity;
  /** The exact bytes of the request body, as text. */
  readonly body: string;
  /** Digest by which the request is known, where it is not that of the body: references count by their content. */
  readonly digest?: string;
  /** Addresses in the body that uploads of ours were answered with: the spending policy judges the others. */
  readonly uploadUrls?: readonly string[];
  /** Milliseconds after `firstPostedAt` during which an unanswered POST may be repeated. */
  readonly idempotencyWindowMs: number;
  /** Fence of an earlier Activity for the same key, if its outcome is still unknown. */
  readonly fence: Fence | null;
  /** True after a person accepted to post again: what other runs had left unanswered by then no longer counts. */
  readonly riskAccepted: boolean;
  /** When that was, on the Workflow's clock. A reset brings the same time back, and with it nothing that was posted since. */
  readonly riskAcceptedAt?: number;
  /** What that person said. */
  readonly riskReason?: string | null;
  /** Credits that all attempts together may cost, by the starting price; left out: any number. */
  readonly maxCredits?: number;
}

export interface SubmitResult {
  readonly task: TaskSnapshot;
  /** Milliseconds from the first POST of this run to this answer. A length of time, because each Worker has its own clock. */
  readonly sinceFirstPostMs: number;
  /** The key under which a recalled task was made, where it is known. */
  readonly idempotencyKey?: string;
  /** True when the task existed before this run's first POST, as far as this answer tells. */
  readonly reused: boolean;
}

export interface CheckInput {
  readonly taskId: string;
  /** First key of the attempt that made it, for its receipt; null or left out for a task that was taken up by its ID. */
  readonly firstKey?: string | null;
  /** First key of the attempt whose unanswered submit a person says has made this task: refused where another generation has it. */
  readonly claimedFor?: string;
  /** True where the claim is looked at once more, so that nothing is noted of it yet. */
  readonly claimsAgain?: boolean;
}

export interface CheckResult {
  readonly task: TaskSnapshot;
  /** GETs that this Activity made, retries included. */
  readonly checks: number;
}

export interface StoreInput {
  readonly taskId: string;
  readonly urls: readonly string[];
  readonly workflowId: string;
  /** Step of a composed Workflow, or null. */
  readonly step: string | null;
  readonly take: number;
  /** For the sidecars of the files. Not in the histories of Workflows that began before there were any. */
  readonly about?: ResultAbout;
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

export interface AwaitInput {
  /** Of a `generateMedia` Workflow that an earlier run has started. */
  readonly workflowId: string;
  /** Digest of the body that is wanted; null where the task is known, and so nothing can be paid for another input. */
  readonly bodyDigest: string | null;
}

export interface AwaitResult {
  /** How its latest run has ended, in the words of the Service. */
  readonly status: string;
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
