import { proxyActivities, type RetryPolicy } from '@temporalio/workflow';
import { apiTaskQueue, NOT_RETRIED, type RivyaActivities } from '../src/contract/index.js';
import { MIN_WAIT_MS, TIMEOUTS } from '../src/policy/index.js';

// A check must not queue behind a thousand submits: it frees a waiting Workflow. 3 is Temporal's default.
const CHECK_PRIORITY = { priorityKey: 2 };
// About a minute of tries against one set of links; then fresh links are asked for.
const STORE_ATTEMPTS = 6;
// An image is ready in seconds; of a wait that lasts hours, five minutes more are little.
const RESULT_RETRY = { initialInterval: '2s', backoffCoefficient: 1.5, maximumInterval: '5m' } as const;
// The table of error codes decides what is repeated. Each failure that is repeated sets its own delay; these are for those
// of which nobody told: a Worker that was killed.
const CALL_RETRY = {
  nonRetryableErrorTypes: [...NOT_RETRIED],
  initialInterval: '1s',
  backoffCoefficient: 2,
  maximumInterval: '10m',
} satisfies RetryPolicy;

/** The Activities, each with its queue, time limits and the summary that the Timeline shows. */
export const activities = {
  /** Whatever pays. */
  submit: (
    taskQueue: string,
    submitDeadlineMs: number,
    summary: string,
  ): Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaChat'> =>
    proxyActivities<RivyaActivities>({
      taskQueue: apiTaskQueue(taskQueue),
      startToCloseTimeout: TIMEOUTS.submitStartToClose,
      scheduleToCloseTimeout: submitDeadlineMs,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      retry: CALL_RETRY,
      // A POST under way is never given up: its answer is what was paid for.
      cancellationType: 'WAIT_CANCELLATION_COMPLETED',
      summary,
    }),

  upload: (taskQueue: string, submitDeadlineMs: number, summary: string): Pick<RivyaActivities, 'rivyaUpload'> =>
    proxyActivities<RivyaActivities>({
      taskQueue: apiTaskQueue(taskQueue),
      startToCloseTimeout: TIMEOUTS.uploadStartToClose,
      scheduleToCloseTimeout: submitDeadlineMs,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      retry: CALL_RETRY,
      summary,
    }),

  /** @param withinMs - After which it ends without an answer. Default: it is repeated until there is one. */
  check: (taskQueue: string, summary: string, withinMs?: number): Pick<RivyaActivities, 'rivyaCheck'> =>
    proxyActivities<RivyaActivities>({
      taskQueue: apiTaskQueue(taskQueue),
      ...(withinMs !== undefined && { scheduleToCloseTimeout: withinMs }),
      startToCloseTimeout: TIMEOUTS.checkStartToClose,
      heartbeatTimeout: TIMEOUTS.heartbeat,
      cancellationType: 'TRY_CANCEL',
      // After a killed Worker the next GET still keeps its distance.
      retry: { ...CALL_RETRY, initialInterval: MIN_WAIT_MS, backoffCoefficient: 1 },
      priority: CHECK_PRIORITY,
      summary,
    }),

  estimate: (taskQueue: string, summary: string): Pick<RivyaActivities, 'rivyaEstimate'> =>
    proxyActivities<RivyaActivities>({
      taskQueue: apiTaskQueue(taskQueue),
      startToCloseTimeout: TIMEOUTS.estimateStartToClose,
      retry: CALL_RETRY,
      cancellationType: 'TRY_CANCEL',
      summary,
    }),

  result: (taskQueue: string, summary: string): Pick<RivyaActivities, 'rivyaResult'> =>
    proxyActivities<RivyaActivities>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.checkStartToClose,
      cancellationType: 'TRY_CANCEL',
      // Each attempt looks once, so neither a slot nor the history is filled while the other run takes its hours.
      retry: RESULT_RETRY,
      summary,
    }),

  store: (taskQueue: string, summary: string): Pick<RivyaActivities, 'rivyaStore'> =>
    proxyActivities<RivyaActivities>({
      taskQueue,
      startToCloseTimeout: TIMEOUTS.storeStartToClose,
      heartbeatTimeout: TIMEOUTS.storeHeartbeat,
      retry: { initialInterval: '2s', maximumAttempts: STORE_ATTEMPTS },
      summary,
    }),
};
