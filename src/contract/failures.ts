/** The failure types of this package, and the details that each failure carries. Workflows and Activities throw them. */
import type { UnansweredPost } from './activities.js';

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
  /** The link of the result that could not be stored, as the API gave it (`ResultUnavailable` of a Workflow only). */
  readonly link?: string;
  /** Number of that result, from 1 (`ResultUnavailable` of an Activity only). */
  readonly file?: number;
  /** Media type of what that link gave, where it is no image, video or audio (`ResultUnavailable` only). */
  readonly found?: string;
  /** SHA-256 of its first 4,100 bytes, beside `found` (`ResultUnavailable` of an Activity only). */
  readonly beginning?: string;
  /** Run ID of the Workflow run that this Activity belongs to. */
  readonly runId?: string;
  /** The last status that the API gave for the task (`DeadlinePassed` only). */
  readonly status?: string;
  /** The age of the task then, in milliseconds (`DeadlinePassed` only). */
  readonly ageMs?: number;
  /** Attempts that this Activity had made before this failure (failures of Activities only). */
  readonly attempts?: number;
  /** True where this Activity had completed its recall: it had read receipts and earlier runs (submits only). */
  readonly looked?: boolean;
  /** True where this Activity had posted (submits only). */
  readonly posted?: boolean;
  /** Present while a POST under this key has no known answer (submits only). */
  readonly unanswered?: UnansweredPost;
  /** True where the API has stored an error under the key and repeats it (submits only). */
  readonly stored?: boolean;
  /** Whether the namespace has the search attributes; left out where the Worker cannot say (failures of Activities only). */
  readonly attributes?: boolean;
}

/** `FailureDetails` without a known fact: spread it and add the known ones. */
export const NOTHING_KNOWN = {
  httpStatus: null,
  requestId: null,
  taskId: null,
  idempotencyKey: null,
  reservedCredits: null,
  finalCredits: null,
} as const satisfies Omit<FailureDetails, 'code' | 'action'>;
