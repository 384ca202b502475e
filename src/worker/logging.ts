import { createServer } from 'node:http';
import { isIPv6 } from 'node:net';
import { ApplicationFailure } from '@temporalio/common';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  Runtime,
  type LogEntry,
  type LogLevel,
  type MetricsExporterConfig,
} from '@temporalio/worker';
import type { Settings } from '../config.js';
import { METRICS, type FailureDetails } from '../contract/index.js';
import { listening } from './health.js';

// The Worker on `<queue>-api` has Activities only, as it should.
const EXPECTED = 'No workflows registered, not polling for workflow tasks';

// Seconds, from a check to a video of hours. The SDK's own buckets end at 10 s.
const LONG = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400];
const CREDITS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const BUCKETS = {
  [METRICS.timeToResult]: LONG,
  [METRICS.lag]: LONG,
  [METRICS.creditsReserved]: CREDITS,
  [METRICS.creditsFinal]: CREDITS,
};

interface RuntimeChange {
  readonly level?: LogLevel;
  readonly signals?: NodeJS.Signals[];
  readonly metrics?: MetricsExporterConfig | undefined;
  /** Default: off a terminal. */
  readonly json?: boolean;
}

/** Installs the Temporal Runtime, once, before the first connection, with logs on stderr. */
export function installRuntime(change: RuntimeChange = {}): void {
  const { level = 'INFO', signals = [], metrics, json = !process.stderr.isTTY } = change;
  Runtime.install({
    logger: new DefaultLogger(level, (entry) => {
      if (entry.message !== EXPECTED) process.stderr.write(json ? jsonLine(entry) : textLine(entry));
    }),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
      ...(metrics !== undefined && { metrics }),
    },
    // The caller decides what a signal means: by default the Runtime takes signals for the whole process.
    shutdownSignals: signals,
  });
}

/**
 * Where the settings want metrics, or undefined.
 * @throws SettingsError where the address cannot be used: the SDK would only say that in its log.
 */
export async function metricsOf(settings: Pick<Settings, 'metricsAddress' | 'otlpUrl'>) {
  const { metricsAddress: address, otlpUrl: url } = settings;
  const common = { histogramBucketOverrides: BUCKETS, useSecondsForDurations: true } as const;
  if (url !== null) return { otel: { url, ...common } };
  if (address === null) return undefined;
  const trial = createServer();
  await listening(trial, address, 'RIVYA_METRICS_ADDRESS');
  await new Promise((resolve) => trial.close(resolve));
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return {
    prometheus: { bindAddress: `${host}:${address.port}`, countersTotalSuffix: true, unitSuffix: true, ...common },
  };
}

function jsonLine({ level, message, timestampNanos, meta }: LogEntry): string {
  const time = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
  return `${JSON.stringify({ time, level, message, ...readable(meta) })}\n`;
}

function textLine({ level, message, meta }: LogEntry): string {
  const { workflowId, taskId, requestId, error } = readable(meta);
  const facts = Object.entries({ workflowId, taskId, requestId, error }).filter(([, value]) => value != null);
  return `${level.padEnd(5)} ${message}${facts.map(([name, value]) => ` ${name}=${String(value)}`).join('')}\n`;
}

function readable(meta: LogEntry['meta']): Record<string, unknown> {
  // The task token is long, and useless to a reader.
  const { error, taskToken: _taskToken, ...rest } = (meta ?? {}) as Record<string, unknown>;
  if (!(error instanceof Error)) return { ...rest, ...(error != null && { error }) };
  const [details] = (error instanceof ApplicationFailure ? error.details : null) ?? [];
  const { taskId, requestId, idempotencyKey } = (details ?? {}) as Partial<FailureDetails>;
  return { ...rest, taskId, requestId, idempotencyKey, error: error.message };
}
