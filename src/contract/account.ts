/**
 * The account: inputs, state and results of the Workflow `rivyaAccount`, of its Activities, and of its memo, which is the
 * switchboard that all Workers of an API task queue read.
 */
import { ERROR_CODES, STOPPED, type ErrorCode } from './codes.js';
import { apiTaskQueue } from './names.js';

export const ACCOUNT_WORKFLOW_TYPE = 'rivyaAccount';
/** Reads the API for a command (`ReadInput`, `ReadResult`). */
export const READ_WORKFLOW_TYPE = 'rivyaRead';
/** Query for an `AccountState`. */
export const ACCOUNT_QUERY = 'account';
/** Memo field of an `AccountState`. */
export const ACCOUNT_MEMO_FIELD = 'rivyaAccount';
/** Signal with a `WorkerReport`. */
export const ACCOUNT_REPORT = 'report';

/** Workflow ID of the account of these Workers: one for each API task queue. */
export function accountWorkflowId(taskQueue: string): string {
  return `rivya-account/${apiTaskQueue(taskQueue)}`;
}

/** `release` takes it beside the codes of causes: it lifts the time until which the queue is closed. */
export const RATE_LIMITED = 'rate_limited';

/**
 * Identity with which the account sets the rate of an API task queue at the Service. By another one, a rate is a person's.
 * @param forPerson - True for the rate that a person has asked the account for (`setRate`).
 */
export function rateIdentity(queue: string, forPerson = false): string {
  return `rivya-account/${queue}${forPerson ? ' (setRate)' : ''}`;
}

/** Codes of causes that all generations of an API key share: those that the operator of the account clears, and the stop switch. */
export const SHARED_CODES: readonly string[] = [
  ...(Object.keys(ERROR_CODES) as ErrorCode[]).filter((code) => ERROR_CODES[code].actor === 'operator'),
  STOPPED,
];

/** Input of `rivyaAccount`. */
export interface AccountInput {
  /** Task queue of the Workflows; the account stands for the API task queue beside it. */
  readonly taskQueue: string;
}

/** What a Worker tells the account: at its start, and where the API refuses a call for a cause that concerns all. */
export interface WorkerReport {
  readonly identity: string;
  /** Short digest of its API key; null where it has none. */
  readonly fingerprint: string | null;
  /** Calls a minute that it was told (`RIVYA_RATE_LIMIT_PER_MINUTE`). */
  readonly perMinute: number;
  readonly rateLimited?: RateLimitedReport;
  readonly refused?: readonly RefusedReport[];
  /** Left out by a Worker of an older version. */
  readonly calls?: CallCounts;
}

/** Calls of one Worker in the ten minutes before its report, without answers 429. */
export interface CallCounts {
  readonly made: number;
  /** Those without an answer, or with one of status 500 and above. */
  readonly failed: number;
}

/** Answers 429 since the last report of this Worker. */
export interface RateLimitedReport {
  readonly count: number;
  /** Milliseconds that the last `Retry-After` named, or null. */
  readonly retryAfterMs: number | null;
  /** Calls of this Worker in the 60 s before the first of them, which the API took. */
  readonly callsBefore: number;
}

export interface RefusedReport {
  /** One of `SHARED_CODES`. */
  readonly code: string;
  readonly message: string;
  readonly requestId: string | null;
}

/** The state of the account: what its query, its memo and its page show. Times are ISO 8601. */
export interface AccountState {
  /** The API task queue. */
  readonly queue: string;
  /** Time of the last event that it knows of. */
  readonly updatedAt: string;
  readonly rate: AccountRate;
  /** Causes that hold generations. Workers submit nothing new while one is `open`. */
  readonly causes: readonly AccountCause[];
  readonly rateLimited: {
    /** Answers 429 in the hour before `updatedAt`. */
    readonly lastHour: number;
    readonly lastAt: string | null;
    /** True where they came well below our own limit: somebody else uses this key. */
    readonly byOthers: boolean;
  };
  /** The Workers that have reported, by identity; those that no longer poll are left out at a look. */
  readonly workers: Readonly<Record<string, AccountWorker>>;
  /** Null before the first look. */
  readonly look: AccountLook | null;
  /** Null before the first answer. */
  readonly balance: { readonly credits: number | null; readonly askedAt: string; readonly simulated: boolean } | null;
}

export interface AccountWorker {
  readonly fingerprint: string | null;
  readonly perMinute: number;
  readonly reportedAt: string;
  /** As of `reportedAt`. A Worker reports where many of its calls begin to fail, and where that is over. */
  readonly calls?: CallCounts;
}

/** The rate of the API task queue. */
export interface AccountRate {
  /** Calls a minute that the Workers were told: the lowest, where they differ. Null before the first report. */
  readonly configured: number | null;
  /** Calls a minute other than `configured` that the account or a person has set at the Service, while it is not closed; null: none. */
  readonly set: number | null;
  /** Who has set it. Another identity at the Service is a person, and is never overwritten. */
  readonly by: 'workers' | 'account' | 'person';
  readonly reason: string;
  /** Until then the queue is closed, because the API asked for it or its window is full; null: it is open. */
  readonly closedUntil: string | null;
  /** The next step of the recovery; null where there is none. */
  readonly nextStepAt: string | null;
}

/** A cause that holds generations: a refusal that all share, or the stop switch. */
export interface AccountCause {
  /** One of `SHARED_CODES`. */
  readonly code: string;
  /** `releasing`: it is over, and those that it holds are resumed; new submits go on again. */
  readonly phase: 'open' | 'releasing';
  readonly since: string;
  /** The words of the API, or the reason of the person who has stopped. */
  readonly message: string;
  readonly requestId: string | null;
  /** Short digest of the API key that was refused. */
  readonly fingerprint: string | null;
  /** The lowest balance that a probe has seen: more than that ends `insufficient_credits` at once. */
  readonly credits: number | null;
  readonly probes: number;
  /** Null for the stop switch, which a person ends. */
  readonly nextProbeAt: string | null;
}

/** One look at the queues and at what is held. */
export interface AccountLook {
  readonly at: string;
  /** Running generations that are held, by code; null where the namespace has no search attributes. */
  readonly heldBy: Readonly<Record<string, number>> | null;
  /** Generations and chats that run. */
  readonly running: number;
  /** Calls that wait in the API task queue, and the age of the oldest in milliseconds. */
  readonly backlog: number;
  readonly backlogAgeMs: number;
  /** Identities of the Workers that poll, by role. */
  readonly pollers: Readonly<Record<'workflows' | 'results' | 'api', readonly string[]>>;
  /** The rate that is set at the Service itself, in calls a second; null: none. */
  readonly setAtService: { readonly perSecond: number; readonly identity: string; readonly reason: string } | null;
}

/** The requests of `rivyaAccount`, each as Update and as Signal, with its argument. */
export interface AccountRequests {
  /** No Worker posts a new generation any more; checks and results go on. */
  readonly stopSubmits: { readonly reason?: string };
  readonly allowSubmits: undefined;
  /** Sets the rate for all Workers; null gives it back to the account. */
  readonly setRate: { readonly perMinute: number | null; readonly reason?: string };
  /** Ends a cause by hand, or with `rate_limited` the time until which the API asked to wait. */
  readonly release: { readonly code: string };
  /** Looks and asks for the balance anew. */
  readonly refresh: undefined;
}

export interface SetRateInput {
  readonly queue: string;
  /** Calls a minute; 0 closes the queue; null removes the rate. */
  readonly perMinute: number | null;
  readonly reason: string;
  /** True where a person asks: then it replaces whatever is set, and nothing but a person changes it later. */
  readonly forPerson: boolean;
}

export interface SetRateResult {
  /** False where a person has set another rate, which stays, or where the Service does not take one. */
  readonly applied: boolean;
  readonly setAtService: AccountLook['setAtService'];
  /** Why the Service takes no rate at all: it is too old, or the Worker has no right; null: it does. */
  readonly refused: string | null;
}

export interface LookInput {
  /** True for the first look of an account: it reads what the run before has left. */
  readonly first: boolean;
}

export interface LookResult {
  readonly look: AccountLook;
  /** The memo of the run before, in which anything may stand. First looks only; null where there is none. */
  readonly before: unknown;
}

export interface ReleaseInput {
  /** One of `SHARED_CODES`. */
  readonly code: string;
}

export interface ReleaseResult {
  /** Generations that were told to resume. */
  readonly sent: number;
  /** False in a namespace without the search attributes: nobody was found, and each one tries again by itself. */
  readonly attributes: boolean;
}

/** A read-only call to the API on the API task queue, within its rate. */
export interface ReadInput {
  readonly what: 'credits' | 'models';
}

export interface ReadResult {
  /** `{ currentCredits }`, or `{ models, whole }`; null where the API refused. */
  readonly body: unknown;
  readonly refused: (RefusedReport & { readonly httpStatus: number | null }) | null;
  readonly fingerprint: string | null;
  readonly simulated: boolean;
}
