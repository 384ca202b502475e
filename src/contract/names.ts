/** Names that other programs rely on. Renaming one is a breaking change. */

/** Default task queue of Workflows and results. */
export const DEFAULT_TASK_QUEUE = 'rivya';

/** Task queue on which every call to the Rivya API runs, so that one limit covers them all. */
export function apiTaskQueue(taskQueue: string): string {
  return `${taskQueue}-api`;
}

export const WORKFLOW_TYPE = 'generateMedia';
export const CHAT_WORKFLOW_TYPE = 'rivyaChat';
export const STATE_QUERY = 'generation';
export const CHECK_NOW = 'checkNow';
export const RESUME = 'resume';
export const CHANGE_DEADLINE = 'changeDeadline';

export const BATCH_WORKFLOW_TYPE = 'rivyaBatch';
export const BATCH_QUERY = 'batch';
/** Memo field of a `BatchState`. */
export const BATCH_MEMO_FIELD = 'rivyaBatch';

/** Memo field of a `GenerationMemo`. */
export const MEMO_FIELD = 'rivya';

/**
 * Search attributes of generations and chats, each with its type. `rivya-temporal setup` registers them in a namespace;
 * without them only lists are poorer. Credits can be fractions: a fraction in an Int would stop a Workflow for ever.
 */
export const SEARCH_ATTRIBUTES = {
  /** `submitting`, `queued`, `processing`, `succeeded`, `failed`, `cancelled` or `held:<code>`. */
  RivyaStatus: 'KEYWORD',
  RivyaModel: 'KEYWORD',
  RivyaTaskId: 'KEYWORD',
  RivyaBatchId: 'KEYWORD',
  RivyaCredits: 'DOUBLE',
} as const;

/** Fingerprint in place of one that is not known: such a POST may be repeated under any API key. */
export const UNKNOWN_FINGERPRINT = 'unknown';

/** Address of the Rivya API, and the response header that marks answers of the emulator. */
export const DEFAULT_BASE_URL = 'https://rivya.ai';
export const SIMULATED_HEADER = 'x-rivya-simulated';

/** States of a Workflow run that has not ended, in the words of the Service. `PAUSED` exists from server 1.30 on. */
export function isOpen(status: string): boolean {
  return status === 'RUNNING' || status === 'PAUSED';
}

/** `isOpen` as a condition of a visibility query. */
export const OPEN_QUERY = "ExecutionStatus IN ('Running', 'Paused')";

/** Names of our metrics, without the `_total` that Prometheus adds to counters. */
export const METRICS = {
  paid: 'rivya_paid',
  ended: 'rivya_ended',
  holds: 'rivya_holds',
  creditsReserved: 'rivya_credits_reserved',
  creditsFinal: 'rivya_credits_final',
  timeToResult: 'rivya_time_to_result_seconds',
  lag: 'rivya_detection_lag_seconds',
  bytes: 'rivya_stored_bytes',
  batchItems: 'rivya_batch_items',
  calls: 'rivya_api_calls',
  callSeconds: 'rivya_api_call_seconds',
  held: 'rivya_held',
  failing: 'rivya_failing_workflow_tasks',
  counted: 'rivya_counted_timestamp_seconds',
  rateLimit: 'rivya_rate_limit_per_minute',
} as const;

/** The `HELP` of each metric. */
export const METRIC_HELP: Readonly<Record<(typeof METRICS)[keyof typeof METRICS], string>> = {
  rivya_paid: 'Accepted submits: each has made one task or one answer of a chat.',
  rivya_ended: 'Generations and chats that have ended.',
  rivya_holds: 'Holds that have begun.',
  rivya_credits_reserved: 'Credits reserved at the acceptance.',
  rivya_credits_final: 'Final credits at the end.',
  rivya_time_to_result_seconds: 'From the first POST to the stored result, holds included.',
  rivya_detection_lag_seconds: 'From the end of a task at Rivya to the check that saw it.',
  rivya_stored_bytes: 'Bytes of stored results.',
  rivya_batch_items: 'Items of a batch by state, at the last look of this Worker.',
  rivya_api_calls: 'Calls to the API by their outcome.',
  rivya_api_call_seconds: 'How long calls to the API took.',
  rivya_held: 'Workflows of the task queue that hold now, counted each minute.',
  rivya_failing_workflow_tasks:
    'Workflows of the task queue that stand still because their Workflow Tasks fail, counted each minute.',
  rivya_counted_timestamp_seconds: 'When rivya_held was counted last, in seconds since 1970.',
  rivya_rate_limit_per_minute: 'The limit of this Worker, in calls a minute.',
};
