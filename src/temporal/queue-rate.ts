/** The API task queue at the Service: the rate that is set there, and the calls that wait. */
import { isGrpcServiceError, type Client } from '@temporalio/client';
import { rateIdentity, type SetRateInput, type SetRateResult } from '../contract/index.js';
import { activitiesPerSecond } from '../policy/index.js';

// The Service's number for the queue of Activities.
const ACTIVITY_QUEUE = 2;
// gRPC PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED: a Service that does not let this connection set a rate.
const REFUSED = new Set<number>([7, 12, 16]);

/** What the Service says of an API task queue. */
export interface QueueAtService {
  readonly backlog: number;
  readonly backlogAgeMs: number;
  /** Calls a minute that left the queue lately. */
  readonly perMinute: number;
  /** Null where no rate is set but those of the Workers. */
  readonly setAtService: SetRateResult['setAtService'];
}

export async function queueAtService(client: Client, queue: string): Promise<QueueAtService> {
  const { namespace } = client.options;
  const { stats, config } = await client.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: queue },
    taskQueueType: ACTIVITY_QUEUE,
    reportConfig: true,
    reportStats: true,
  });
  const { rateLimit, metadata } = config?.queueRateLimit ?? {};
  const age = stats?.approximateBacklogAge;
  return {
    backlog: Number(stats?.approximateBacklogCount ?? 0),
    backlogAgeMs: Number(age?.seconds ?? 0) * 1_000 + Math.round((age?.nanos ?? 0) / 1e6),
    perMinute: (stats?.tasksDispatchRate ?? 0) * 60,
    setAtService:
      rateLimit == null
        ? null
        : {
            perSecond: rateLimit.requestsPerSecond ?? 0,
            identity: metadata?.updateIdentity ?? '',
            reason: metadata?.reason ?? '',
          },
  };
}

/** Sets the rate of an API task queue, unless a person has set another one. In force within the same second. */
export async function setQueueRate(client: Client, input: SetRateInput): Promise<SetRateResult> {
  const { queue, perMinute, reason, forPerson } = input;
  try {
    const { setAtService: before } = await queueAtService(client, queue);
    const isOurs = before === null || before.identity === rateIdentity(queue);
    if (!isOurs && !forPerson) return { applied: false, setAtService: before, refused: null };
    if (perMinute !== null || before !== null) {
      await client.workflowService.updateTaskQueueConfig({
        namespace: client.options.namespace,
        identity: rateIdentity(queue, forPerson),
        taskQueue: queue,
        taskQueueType: ACTIVITY_QUEUE,
        // Without a limit the present one is removed.
        updateQueueRateLimit: {
          ...(perMinute !== null && { rateLimit: { requestsPerSecond: activitiesPerSecond(perMinute) } }),
          reason,
        },
      });
    }
    const { setAtService } = await queueAtService(client, queue);
    return { applied: true, setAtService, refused: null };
  } catch (error) {
    if (!isGrpcServiceError(error) || !REFUSED.has(error.code)) throw error;
    return { applied: false, setAtService: null, refused: error.details || error.message };
  }
}
