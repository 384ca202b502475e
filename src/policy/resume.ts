import { FAILURE, type GenerationState } from '../contract/index.js';
import { InvalidInput, onlyKnown, record, text } from './fields.js';
import { readTaskId } from './input.js';
import type { Paid } from './text.js';

// A sentence or two; it stays in the history.
const REASON_LENGTH = 1_000;

/** A checked argument of `resume`. */
export interface Resume {
  readonly taskId: string | null;
  readonly reason: string | null;
}

/**
 * Checks the argument of `resume`. Nothing at all is allowed; null counts as left out.
 * @throws InvalidInput with the name of the wrong field.
 */
export function readResume(input: unknown): Resume {
  const fields = input == null ? {} : record(input, 'resume');
  onlyKnown(fields, ['taskId', 'reason'], '');
  const resume = { taskId: readTaskId(fields['taskId']), reason: text(fields['reason'], 'reason', REASON_LENGTH) };
  if (resume.taskId !== null && resume.reason !== null) {
    throw new InvalidInput('reason', 'cannot go with taskId: either the task was found, or it is posted again');
  }
  return resume;
}

/** Why `resume` cannot be applied in this state, or null. Takes whatever a caller in any language sends. */
export function resumeProblem(
  input: unknown,
  { hold, unanswered }: Pick<GenerationState, 'hold' | 'unanswered'>,
  paid: Paid,
): string | null {
  if (hold === null) return 'Nothing is held here, so there is nothing to resume.';
  let resume: Resume;
  try {
    resume = readResume(input);
  } catch (error) {
    return error instanceof InvalidInput ? error.problem : String(error);
  }
  if (resume.taskId !== null && paid === 'answer') {
    return 'A chat makes no task, so a taskId cannot be used. Resume without it.';
  }
  if (resume.taskId !== null && unanswered === null) {
    return 'There is no unanswered submit, so a taskId cannot be used. Resume without it.';
  }
  if (hold.code !== FAILURE.SubmitUnresolved || resume.taskId !== null || resume.reason !== null) return null;
  return paid === 'answer'
    ? 'It may have been answered and paid. Give { "reason": "…" } to post again and accept that it may be paid twice.'
    : 'A task may exist. Give { "taskId": "…" } found in the Rivya Studio, or { "reason": "…" } to post again and accept that it may be paid twice.';
}
