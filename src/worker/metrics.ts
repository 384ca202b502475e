/** The metrics that a Worker process counts by itself: calls to the API, its limit, and how many Workflows hold. */
import { Client } from '@temporalio/client';
import type { MetricMeter } from '@temporalio/common';
import { Runtime, type NativeConnection } from '@temporalio/worker';
import { RivyaApiError, type RivyaClient } from '../api/index.js';
import type { Settings } from '../config.js';
import { METRIC_HELP, METRICS } from '../contract/index.js';
import { FAILING_VIEW, HELD_VIEWS } from '../temporal/links.js';
import { quoted } from '../temporal/runs.js';
import { hasAttributes } from '../temporal/search-attributes.js';

const HELD_EVERY_MS = 60_000;

/** The client with its calls counted: by `code`, which is `ok`, Rivya's error code, `http_<status>`, `no_answer` or `not_sent`. */
export function countedCalls(api: RivyaClient, meter: MetricMeter = Runtime.instance().metricMeter): RivyaClient {
  const calls = meter.createCounter(METRICS.calls, '', METRIC_HELP[METRICS.calls]);
  const seconds = meter.createHistogram(METRICS.callSeconds, 'float', '', METRIC_HELP[METRICS.callSeconds]);
  const counted =
    <Input extends readonly unknown[], Output>(call: string, send: (...input: Input) => Promise<Output>) =>
    async (...input: Input): Promise<Output> => {
      const started = performance.now();
      let code = 'ok';
      try {
        return await send(...input);
      } catch (error) {
        code = codeOf(error);
        throw error;
      } finally {
        calls.add(1, { call, code });
        seconds.record((performance.now() - started) / 1_000, { call });
      }
    };
  return {
    ...api,
    createGeneration: counted('submit', (input) => api.createGeneration(input)),
    createChat: counted('chat', (input) => api.createChat(input)),
    retrieveGeneration: counted('check', (taskId, maySend) => api.retrieveGeneration(taskId, maySend)),
    uploadFile: counted('upload', (input) => api.uploadFile(input)),
    retrieveFile: counted('file', (fileId, key) => api.retrieveFile(fileId, key)),
    listModels: counted('models', () => api.listModels()),
    getCredits: counted('credits', () => api.getCredits()),
  };
}

function codeOf(error: unknown): string {
  // Nothing was sent where the error is of another kind.
  if (!(error instanceof RivyaApiError)) return 'not_sent';
  const { code, httpStatus, outcome } = error;
  return code ?? (httpStatus !== null ? `http_${httpStatus}` : outcome === 'unknown' ? 'no_answer' : 'not_sent');
}

/** Shows each minute what holds and what stands still on the task queue, until the signal. All Workers of a queue show the same. */
export function showHeld(
  connection: NativeConnection,
  namespace: string,
  { taskQueue, rateLimitPerMinute }: Pick<Settings, 'taskQueue' | 'rateLimitPerMinute'>,
  signal: AbortSignal,
  meter: MetricMeter = Runtime.instance().metricMeter,
): void {
  const limit = meter.createGauge(METRICS.rateLimit, 'float', '', METRIC_HELP[METRICS.rateLimit]);
  limit.set(rateLimitPerMinute, { queue: taskQueue });
  const client = new Client({ connection, namespace });
  const gauge = (name: keyof typeof METRIC_HELP) => meter.createGauge(name, 'int', '', METRIC_HELP[name]);
  const [held, counted, failing] = [gauge(METRICS.held), gauge(METRICS.counted), gauge(METRICS.failing)];
  const countOf = async (query: string): Promise<number> =>
    (await client.workflow.count(`${query} AND TaskQueue = ${quoted(taskQueue)}`)).count;
  const show = async (): Promise<void> => {
    // The Service refuses a query with an attribute that the namespace does not have.
    if ((await hasAttributes(client)) === true) {
      for (const [by, query] of Object.entries(HELD_VIEWS)) held.set(await countOf(query), { by, queue: taskQueue });
      // A gauge keeps its last value where it cannot be counted any more: this says how old it is.
      counted.set(Math.floor(Date.now() / 1_000), { queue: taskQueue });
    }
    failing.set(await countOf(FAILING_VIEW), { queue: taskQueue });
  };
  // The next minute asks again.
  const timer = setInterval(() => void show().catch(() => undefined), HELD_EVERY_MS);
  void show().catch(() => undefined);
  signal.addEventListener('abort', () => clearInterval(timer));
}
