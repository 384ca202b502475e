/**
 * The Activities as the Workflows call them, each with its queue, time limits, retry policy and the summary in the
 * Timeline. It guarantees that the table of error codes decides what Temporal repeats. Deterministic: it runs no
 * Activity by itself.
 */
import { proxyActivities, type ActivityOptions, type RetryPolicy } from '@temporalio/workflow';
import { apiTaskQueue, NOT_RETRIED, type RivyaActivities } from '../src/contract/index.js';
import { MIN_WAIT_MS, TIMEOUTS } from '../src/policy/index.js';

// A check must not queue behind a thousand submits: it frees a waiting Workflow. 3 is Temporal's default.
const CHECK_PRIORITY = { priorityKey: 2 };
// About a minute of tries against one set of links; then fresh links are asked for.
const STORE_ATTEMPTS = 6;
// An image is ready in seconds; of a wait that lasts hours, five minutes more are little.
const RESULT_RETRY = { initialInterval: '2s', backoffCoefficient: 1.5, maximumInterval: '5m' } as const;
// Checks and submits can wait for one call that says whether they may go on at all.
const READ_PRIORITY = { priorityKey: 1 };
// A look that fails met a Service or a network that is away for a moment.
const TICK_RETRY = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' } as const;
// Each failure that is repeated sets its own delay. These delays are for an attempt without a failure: its Worker was killed.
const CALL_RETRY = {
  nonRetryableErrorTypes: [...NOT_RETRIED],
  initialInterval: '1s',
  backoffCoefficient: 2,
  maximumInterval: '10m',
} satisfies RetryPolicy;

/** A call to the API, on the queue whose rate is limited. */
function apiCall<Name extends keyof RivyaActivities>(
  taskQueue: string,
  options: ActivityOptions,
): Pick<RivyaActivities, Name> {
  return proxyActivities<RivyaActivities>({ taskQueue: apiTaskQueue(taskQueue), retry: CALL_RETRY, ...options });
}

export const activities = {
  /** The Activities that pay. */
  submit: (taskQueue: string, submitDeadlineMs: number, summary: string) =>
    apiCall<'rivyaSubmit' | 'rivyaChat'>(taskQueue, {
      startToCloseTimeout: TIMEOUTS.submitStartToClose,
      scheduleToCloseTimeout: submitDeadlineMs,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      // A POST under way is never given up: its answer is what was paid for.
      cancellationType: 'WAIT_CANCELLATION_COMPLETED',
      summary,
    }),

  upload: (taskQueue: string, submitDeadlineMs: number, summary: string) =>
    apiCall<'rivyaUpload'>(taskQueue, {
      startToCloseTimeout: TIMEOUTS.uploadStartToClose,
      scheduleToCloseTimeout: submitDeadlineMs,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      summary,
    }),

  /** @param withinMs - Milliseconds after which the check ends without an answer. Default: it is repeated until there is one. */
  check: (taskQueue: string, summary: string, withinMs?: number) =>
    apiCall<'rivyaCheck'>(taskQueue, {
      ...(withinMs !== undefined && { scheduleToCloseTimeout: withinMs }),
      startToCloseTimeout: TIMEOUTS.checkStartToClose,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      cancellationType: 'TRY_CANCEL',
      // After a killed Worker the next GET still keeps its distance.
      retry: { ...CALL_RETRY, initialInterval: MIN_WAIT_MS, backoffCoefficient: 1 },
      priority: CHECK_PRIORITY,
      summary,
    }),

  estimate: (taskQueue: string, summary: string) =>
    apiCall<'rivyaEstimate'>(taskQueue, {
      startToCloseTimeout: TIMEOUTS.estimateStartToClose,
      cancellationType: 'TRY_CANCEL',
      summary,
    }),

  result: (taskQueue: string, summary: string) =>
    proxyActivities<Pick<RivyaActivities, 'rivyaResult'>>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.checkStartToClose,
      cancellationType: 'TRY_CANCEL',
      // Each attempt looks once, so neither a slot nor the history is filled while the other run takes its hours.
      retry: RESULT_RETRY,
      summary,
    }),

  store: (taskQueue: string, summary: string) =>
    proxyActivities<Pick<RivyaActivities, 'rivyaStore'>>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.storeStartToClose,
      heartbeatTimeout: TIMEOUTS.storeHeartbeat,
      retry: { initialInterval: '2s', maximumAttempts: STORE_ATTEMPTS },
      summary,
    }),

  batchTick: (taskQueue: string) =>
    proxyActivities<Pick<RivyaActivities, 'rivyaBatchTick'>>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.batchTickStartToClose,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      // A look that was begun says what it has started and recorded.
      cancellationType: 'WAIT_CANCELLATION_COMPLETED',
      retry: TICK_RETRY,
      summary: 'look at the items, start the next ones, wait',
    }),

  /** What the account asks the Service, and tells it. */
  account: (taskQueue: string, summary: string) =>
    proxyActivities<Pick<RivyaActivities, 'rivyaAccountLook' | 'rivyaSetRate'>>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.accountStartToClose,
      cancellationType: 'TRY_CANCEL',
      retry: TICK_RETRY,
      summary,
    }),

  release: (taskQueue: string, summary: string) =>
    proxyActivities<Pick<RivyaActivities, 'rivyaRelease'>>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.releaseStartToClose,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      cancellationType: 'TRY_CANCEL',
      retry: TICK_RETRY,
      summary,
    }),

  read: (taskQueue: string, summary: string) =>
    apiCall<'rivyaRead'>(taskQueue, {
      startToCloseTimeout: TIMEOUTS.checkStartToClose,
      scheduleToCloseTimeout: TIMEOUTS.readScheduleToClose,
      cancellationType: 'TRY_CANCEL',
      retry: { ...CALL_RETRY, maximumInterval: '1m' },
      priority: READ_PRIORITY,
      summary,
    }),
};
