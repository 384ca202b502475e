import type { Attributes, UnansweredPost } from './activities.js';

/** Failure types of this package. Refused calls carry Rivya's own error code as their type. */
export const FAILURE = {
  GenerationFailed: 'GenerationFailed',
  DeadlinePassed: 'DeadlinePassed',
  InvalidInput: 'InvalidInput',
  InputChanged: 'InputChanged',
  SubmitUnresolved: 'SubmitUnresolved',
  ResultMissing: 'ResultMissing',
  ResultUnavailable: 'ResultUnavailable',
  ReferenceUnavailable: 'ReferenceUnavailable',
  BudgetReached: 'BudgetReached',
  PolicyDenied: 'PolicyDenied',
} as const;

export type FailureType = (typeof FAILURE)[keyof typeof FAILURE];

/** First element of the `details` of every failure that this package throws. Unknown facts are null. */
export interface FailureDetails {
  /** The failure type, or Rivya's error code where a call was refused or a task failed. */
  readonly code: string;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  readonly taskId: string | null;
  readonly idempotencyKey: string | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  /** What to do next, in one sentence. */
  readonly action: string;
  /** The input field that is wrong (`InvalidInput` only). */
  readonly field?: string;
  /** Run ID of the Workflow run that this Activity belongs to. */
  readonly runId?: string;
  /** The API's last word on the task (`DeadlinePassed` only). */
  readonly status?: string;
  /** How old the task was then, in milliseconds (`DeadlinePassed` only). */
  readonly ageMs?: number;
  /** Attempts that this Activity had made before this failure (failures of Activities only). */
  readonly attempts?: number;
  /** True where this Activity had looked at receipts and earlier runs (submits only). */
  readonly looked?: boolean;
  /** True where this Activity had posted (submits only). */
  readonly posted?: boolean;
  /** Present while a POST under this key has no known answer (submits only). */
  readonly unanswered?: UnansweredPost;
  /** True where the API has stored an error under the key and repeats it (submits only). */
  readonly stored?: boolean;
  readonly attributes?: Attributes;
}

/** `FailureDetails` of which no fact is known yet; spread it and add what is. */
export const NOTHING_KNOWN = {
  httpStatus: null,
  requestId: null,
  taskId: null,
  idempotencyKey: null,
  reservedCredits: null,
  finalCredits: null,
} as const satisfies Omit<FailureDetails, 'code' | 'action'>;
