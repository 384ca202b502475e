/**
 * The argument of `resume`, and when it can be applied. It guarantees that after an unanswered POST only a task ID or a
 * reason resumes, and that only a result whose type a person has seen is stored as it is. The handlers call it. It changes no state.
 */
import { FAILURE, SHARED_CODES, type GenerationState } from '../contract/index.js';
import { InvalidInput, onlyKnown, record, text } from './fields.js';
import { readTaskId } from './input.js';
import type { Paid } from './text.js';

// A sentence or two; it stays in the history.
const REASON_LENGTH = 1_000;

/** A checked argument of `resume`. */
export interface Resume {
  readonly taskId: string | null;
  readonly reason: string | null;
  /** True where a result is to be stored although it is no image, video or audio. */
  readonly storeAsIs: boolean;
  /** The only code whose hold is ended; null: any. */
  readonly code: string | null;
}

/**
 * Checks the argument of `resume`. It may be left out; null counts as left out.
 * @throws InvalidInput
 */
export function readResume(input: unknown): Resume {
  const fields = input == null ? {} : record(input, 'resume');
  onlyKnown(fields, ['taskId', 'reason', 'storeAsIs', 'code'], '');
  const { storeAsIs = false } = fields;
  if (typeof storeAsIs !== 'boolean') throw new InvalidInput('storeAsIs', 'must be true or false');
  const named = { taskId: readTaskId(fields['taskId']), reason: text(fields['reason'], 'reason', REASON_LENGTH) };
  const resume = { ...named, storeAsIs, code: readCode(fields['code']) };
  if (resume.code !== null && (resume.taskId !== null || resume.reason !== null || storeAsIs)) {
    throw new InvalidInput('code', 'cannot go with other fields: a release of many answers no question about one task');
  }
  if (resume.taskId !== null && resume.reason !== null) {
    throw new InvalidInput('reason', 'cannot go with taskId: either the task was found, or it is posted again');
  }
  return resume;
}

function readCode(value: unknown): string | null {
  const code = text(value, 'code', 100);
  // A hold about one task, such as SubmitUnresolved, is never released for many.
  if (code === null || SHARED_CODES.includes(code)) return code;
  throw new InvalidInput('code', `must be a cause that many share: ${SHARED_CODES.join(', ')}`);
}

/** Why `resume` cannot be applied in this state, or null. The input may be anything: callers in all languages send it. */
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
  if (resume.code !== null && resume.code !== hold.code) return `It is held by ${hold.code}, not by ${resume.code}.`;
  if (resume.storeAsIs && hold.found === undefined) {
    return 'Only a result that is no image, video or audio can be stored as it is. Resume without storeAsIs.';
  }
  if (resume.taskId !== null && (paid === 'answer' || unanswered === null)) {
    const why = paid === 'answer' ? 'A chat makes no task' : 'There is no unanswered submit';
    return `${why}, so a taskId cannot be used. Resume without it.`;
  }
  if (hold.code !== FAILURE.SubmitUnresolved || resume.taskId !== null || resume.reason !== null) return null;
  return paid === 'answer'
    ? 'It may have been answered and paid. Give { "reason": "…" } to post again and accept that it may be paid twice.'
    : 'A task may exist. Give { "taskId": "…" } found in the Rivya Studio, or { "reason": "…" } to post again and accept that it may be paid twice.';
}
