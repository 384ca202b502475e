import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { CommanderError } from 'commander';
import { Unreadable } from '../../activities/runs.js';
import { InvalidAddress, InvalidRequest, RivyaApiError } from '../api/index.js';
import { GenerationError } from '../client.js';
import { SettingsError } from '../config.js';
import { errorCodeRow, FAILURE } from '../contract/index.js';
import { InvalidInput } from '../policy/index.js';
import { BrokenReceipt, StoreUnavailable } from '../storage/index.js';
import { TemporalUnreachable } from '../temporal/connect.js';

/** Exit statuses, as the documentation promises them. */
export const STATUS = { done: 0, failed: 1, usage: 2, unreachable: 3, held: 4, unread: 5, interrupted: 130 } as const;

/** A command was asked for something it cannot do; nothing was sent and nothing was paid. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A message with the action after it, unless the message names it already. */
export function withAction(message: string, action: string | null): string {
  return action === null || message.includes(action) ? message : `${message} ${action}`;
}

/** What an error means for whoever called the command. */
export interface Verdict {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  readonly action: string | null;
}

/** The part of a verdict that only the API tells. */
export const NO_DETAILS = { httpStatus: null, requestId: null, action: null } as const;

const WRONG_USE = [UsageError, InvalidInput, InvalidRequest, InvalidAddress, SettingsError];
// Classes of modules that load only on demand; their names are part of what they promise.
const SERVER_ERRORS = new Set(['ServerNotFound', 'ServerStartFailed']);
// gRPC codes by which the Service says that something named by a setting does not exist or is not allowed.
const GRPC_SETTINGS = new Set([5, 7, 16]);

/** A verdict as a field of a JSON document. */
export function toJson({ code, message, requestId, httpStatus, action }: Verdict): object {
  return { code, message, requestId, httpStatus, action };
}

/** The one place where errors become exit statuses. */
export function judge(error: unknown): Verdict {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error ? error.name : 'Error';
  const plain = { ...NO_DETAILS, code, message };
  const verdict = (status: number, more: Partial<Verdict> = {}): Verdict => ({ ...plain, status, ...more });
  if (error instanceof CommanderError) {
    const asked = ['commander.helpDisplayed', 'commander.version', 'commander.help'].includes(error.code);
    return verdict(asked && error.exitCode === 0 ? STATUS.done : STATUS.usage, { code: 'UsageError' });
  }
  if (WRONG_USE.some((kind) => error instanceof kind)) return verdict(STATUS.usage);
  if (error instanceof WorkflowNotFoundError) {
    return verdict(STATUS.usage, {
      message: `There is no Workflow "${error.workflowId}" in this namespace. Look it up with: rivya-temporal list`,
    });
  }
  if (error instanceof GenerationError) {
    const { httpStatus = null, requestId = null, action = null } = error.details;
    const status =
      error.code === FAILURE.InvalidInput || error.code === FAILURE.InputChanged ? STATUS.usage : STATUS.failed;
    return verdict(status, { code: error.code, httpStatus, requestId, action });
  }
  if (error instanceof Unreadable || error instanceof BrokenReceipt) return verdict(STATUS.unread);
  if (error instanceof TemporalUnreachable || error instanceof StoreUnavailable) return verdict(STATUS.unreachable);
  if (SERVER_ERRORS.has(code)) {
    const inUse = (error as Error).cause instanceof Error && ((error as Error).cause as Error).name === 'DatabaseInUse';
    return verdict(inUse ? STATUS.usage : STATUS.unreachable);
  }
  if (error instanceof RivyaApiError) {
    const { httpStatus, requestId } = error;
    const row = errorCodeRow(error.code, httpStatus);
    return verdict(row.actor === 'nobody' ? STATUS.unreachable : STATUS.usage, {
      code: error.code ?? code,
      httpStatus,
      requestId,
      action: row.actor === 'nobody' ? 'Check the network and RIVYA_BASE_URL, and try again.' : row.action,
    });
  }
  // Calls of ours that go past the client's own methods are not wrapped.
  if (error instanceof ServiceError || isGrpcServiceError(error)) {
    const cause = (isGrpcServiceError(error) ? error : error.cause) as { code?: number; details?: string } | undefined;
    const details = cause?.details ?? message;
    return GRPC_SETTINGS.has(cause?.code ?? -1)
      ? verdict(STATUS.usage, {
          message: `Temporal refuses: ${details}. Check TEMPORAL_NAMESPACE and the other TEMPORAL_* settings.`,
        })
      : verdict(STATUS.unreachable, {
          message: `Temporal gave no usable answer (${details}). A generation that was started goes on; look for it with: rivya-temporal list`,
        });
  }
  return verdict(STATUS.failed, {
    message: `Unexpected error: ${message}. A generation that was started goes on in Temporal; look for it with "rivya-temporal list". Set RIVYA_DEBUG=1 for the stack.`,
  });
}
