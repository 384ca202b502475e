import type { WorkflowNotFoundError } from '@temporalio/client';
import { CommanderError } from 'commander';
import type { RivyaApiError } from '../api/errors.js';
import type { GenerationError } from '../client.js';
import type { InvalidInput } from '../policy/index.js';
import { errorCodeRow, FAILURE, failureEnd, type Hold, type ReadResult } from '../contract/index.js';
import { BrokenReceipt } from '../storage/store.js';
import { advice, adviceHere, inOptions } from './advice.js';

/** Exit statuses, as the documentation promises them. */
export const STATUS = { done: 0, failed: 1, usage: 2, unreachable: 3, held: 4, unread: 5, interrupted: 130 } as const;

/** A command was asked for something it cannot do; nothing was sent and nothing was paid. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The API refuses a call that a Worker made for this command, with the key of the Worker. */
export class WorkerRefused extends Error {
  override readonly name = 'WorkerRefused';
  readonly code: string;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  constructor(
    { code, message, httpStatus, requestId }: NonNullable<ReadResult['refused']>,
    fingerprint: string | null,
  ) {
    super(
      `${message} A Worker asked${fingerprint === null ? '' : `, with the API key of fingerprint ${fingerprint}`}.`,
    );
    this.code = code;
    this.httpStatus = httpStatus;
    this.requestId = requestId;
  }
}

/** Temporal gave no usable answer about a generation or batch that may go on. The cause is the error of the call. */
export class AnswerMissing extends Error {
  override readonly name = 'AnswerMissing';
  /** The command that waits for it. */
  readonly wait: string;
  constructor(wait: string, cause: Error) {
    super(cause.message, { cause });
    this.wait = wait;
  }
}

/** Why something is held and what to do. */
export function holdText({ code, message, action, link }: Pick<Hold, 'code' | 'message' | 'action' | 'link'>): string {
  const text = advice(`${message} ${failureEnd(code, action)}`);
  return link === undefined ? text : `${text}\nLink of the result: ${link}`;
}

/** What holds a state, in the terms of the command line. */
export function heldHere<State extends { readonly hold: Hold | null }>(state: State): State {
  const { hold } = state;
  return hold === null
    ? state
    : { ...state, hold: { ...hold, message: advice(hold.message), action: advice(hold.action) } };
}

/** An exit status, and the error as it stands in a JSON document. */
export interface Verdict {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  readonly action: string | null;
}

export const NO_DETAILS = { httpStatus: null, requestId: null, action: null } as const;

// By name, not by class: the modules of the errors load only where a command needs them.
const WRONG_USE = [
  'UsageError',
  'InvalidInput',
  'InvalidRequest',
  'InvalidAddress',
  'SettingsError',
  'StoreSettingError',
  'BatchInputError',
  'SourceChanged',
];
const OUT_OF_REACH = ['TemporalUnreachable', 'StoreUnavailable', 'ServerNotFound', 'ServerStartFailed', 'ServerEnded'];
// gRPC codes by which the Service says that something named by a setting does not exist or is not allowed.
const GRPC_SETTINGS = new Set([5, 7, 16]);

/**
 * The one place where errors become exit statuses.
 * @param next - How a person finds what was started, where Temporal gives no usable answer.
 */
export function judge(thrown: unknown, next = 'look for it with: rivya-temporal list'): Verdict {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { name, message, cause } = error;
  const verdict = (status: number, says = message, more: Partial<Verdict> = {}): Verdict => {
    return { ...NO_DETAILS, status, code: name, ...more, message: advice(says) };
  };
  if (error instanceof AnswerMissing) return judge(cause, `wait for it with: ${error.wait}`);
  if (error instanceof CommanderError) {
    const asked = ['commander.helpDisplayed', 'commander.version', 'commander.help'].includes(error.code);
    const status = asked && error.exitCode === 0 ? STATUS.done : STATUS.usage;
    return verdict(status, message, { code: 'UsageError' });
  }
  const isInUse = cause instanceof Error && cause.name === 'DatabaseInUse';
  if (name === 'InvalidInput') return verdict(STATUS.usage, inOptions(error as InvalidInput));
  if (isInUse || WRONG_USE.includes(name)) return verdict(STATUS.usage);
  if (name === 'Unreadable' || error instanceof BrokenReceipt) return verdict(STATUS.unread);
  if (OUT_OF_REACH.includes(name)) return verdict(STATUS.unreachable);
  if (name === 'WorkflowNotFoundError') {
    const { workflowId } = error as WorkflowNotFoundError;
    const missing = `There is no Workflow "${workflowId}" in this namespace.`;
    return verdict(STATUS.usage, `${missing} Look it up with: rivya-temporal list`);
  }
  if (name === 'GenerationError') {
    const { code, details } = error as GenerationError;
    const { httpStatus = null, requestId = null, action = null, field } = details;
    const isInput = code === FAILURE.InvalidInput || code === FAILURE.InputChanged;
    const more = { code, httpStatus, requestId, action: action && advice(action) };
    return verdict(isInput ? STATUS.usage : STATUS.failed, advice(message, field), more);
  }
  if (name === 'RivyaApiError') {
    const { code, httpStatus, requestId } = error as RivyaApiError;
    const isOutage = errorCodeRow(code, httpStatus).actor === 'nobody';
    const action = advice(adviceHere(code, httpStatus));
    const more = { code: code ?? name, httpStatus, requestId, action };
    return verdict(isOutage ? STATUS.unreachable : STATUS.usage, `${message} ${failureEnd(more.code, action)}`, more);
  }
  if (error instanceof WorkerRefused) {
    const { code, httpStatus, requestId } = error;
    const { actor, action } = errorCodeRow(code, httpStatus);
    const status = actor === 'nobody' ? STATUS.unreachable : STATUS.usage;
    return verdict(status, `${message} ${failureEnd(code, action)}`, { code, httpStatus, requestId, action });
  }
  // Calls of ours that go past the client's own methods are not wrapped.
  const isCall = 'metadata' in error && 'details' in error;
  if (isCall || name === 'ServiceError') {
    const { code = -1, details = message } = ((isCall ? error : cause) ?? {}) as { code?: number; details?: string };
    const settings = 'Check TEMPORAL_NAMESPACE and the other TEMPORAL_* settings.';
    if (GRPC_SETTINGS.has(code)) return verdict(STATUS.usage, `Temporal refuses: ${details}. ${settings}`);
    const goesOn = `What was started goes on; ${next}`;
    return verdict(STATUS.unreachable, `Temporal gave no usable answer (${details}). ${goesOn}`);
  }
  const goesOn = 'A generation that was started goes on in Temporal; look for it with "rivya-temporal list".';
  return verdict(STATUS.failed, `Unexpected error: ${message}. ${goesOn} Set RIVYA_DEBUG=1 for the stack.`);
}
