import { ApplicationFailure } from '@temporalio/common';
import { DefaultLogger, makeTelemetryFilterString, Runtime, type LogEntry, type LogLevel } from '@temporalio/worker';
import type { FailureDetails } from '../contract/index.js';

// The Worker on `<queue>-api` has Activities only, as it should.
const EXPECTED = 'No workflows registered, not polling for workflow tasks';

/** Installs the Temporal Runtime, once, before the first connection, with logs on stderr: JSON off a terminal. */
export function installRuntime(options: { level?: LogLevel; signals?: NodeJS.Signals[] } = {}): void {
  const { level = 'INFO', signals = [] } = options;
  const json = !process.stderr.isTTY;
  Runtime.install({
    logger: new DefaultLogger(level, (entry) => {
      if (entry.message !== EXPECTED) process.stderr.write(json ? jsonLine(entry) : textLine(entry));
    }),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
    // The caller decides what a signal means: by default the Runtime takes signals for the whole process.
    shutdownSignals: signals,
  });
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
