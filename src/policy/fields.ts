/**
 * The checks of single input fields. They guarantee that a wrong field is refused by its name, before anything is paid.
 * All readers of inputs call them. A message never repeats a value in which a secret may stand.
 */
import { FAILURE, failureEnd } from '../contract/index.js';

/** What to do about a wrong input. */
export const CORRECT_FIELD = 'Correct the field and start again.';

/** A wrong input, found before anything is paid. */
export class InvalidInput extends Error {
  override readonly name = 'InvalidInput';
  /** The place of the wrong field, as `options.deadline`. */
  readonly field: string;
  /** Field and problem, without a word about money. Where several fields are wrong, it goes on with the others. */
  readonly problem: string;
  /** Each wrong field with its problem. */
  readonly problems: readonly Pick<InvalidInput, 'field' | 'problem'>[];
  /** @param others - Problems of other fields. */
  constructor(field: string, problem: string, others: InvalidInput['problems'] = []) {
    const end = failureEnd(FAILURE.InvalidInput, CORRECT_FIELD);
    const own = { field, problem: `${field}: ${problem}.` };
    const problems = [own, ...others];
    const said = problems.map((one) => one.problem).join(' ');
    super(`${said} Nothing was sent to the API and nothing was paid. ${end}`);
    this.field = field;
    this.problem = said;
    this.problems = problems;
  }
}

/** The values of all readers, which run in this order. @throws InvalidInput of the first that fails, with all problems. */
export function readAll<Values extends readonly unknown[]>(
  ...readers: { [At in keyof Values]: () => Values[At] }
): Values {
  const problems: InvalidInput['problems'][number][] = [];
  const values = readers.map((read) => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  });
  const [first, ...others] = problems;
  if (first === undefined) return values as unknown as Values;
  throw new InvalidInput(first.field, first.problem.slice(first.field.length + 2, -1), others);
}

export function record(value: unknown, field: string): Record<string, unknown> {
  if (!isPlainObject(value)) throw new InvalidInput(field, 'must be a JSON object');
  // Null is how many languages write "not given"; inside params it is a value and stays.
  return field === 'params' ? value : Object.fromEntries(Object.entries(value).filter(([, v]) => v != null));
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Refuses a field that is not in the list. */
export function onlyKnown(fields: Record<string, unknown>, known: readonly string[], prefix: string): void {
  const other = Object.keys(fields).find((name) => !known.includes(name));
  if (other === undefined) return;
  const those = known.length === 0 ? 'there are none' : `known are ${known.join(', ')}`;
  throw new InvalidInput(`${prefix}${other}`, `is not a field of the input; ${those}`);
}

export function text(value: unknown, field: string, maxLength = Number.POSITIVE_INFINITY): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string') throw new InvalidInput(field, 'must be a string');
  if (value.trim() === '') throw new InvalidInput(field, 'is empty');
  if (value.length > maxLength) throw new InvalidInput(field, `is longer than ${maxLength} characters`);
  const multiline = field === 'prompt' || field === 'message';
  if (!multiline && /\p{Cc}/u.test(value)) throw new InvalidInput(field, 'holds a control character');
  if (!value.isWellFormed()) throw new InvalidInput(field, 'holds half of a surrogate pair, which is no text');
  return value;
}

export function credits(value: unknown, field: string): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidInput(field, 'must be a number of credits above 0');
}

export function integer(value: unknown, field: string, max: number, min = 1): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new InvalidInput(field, `must be a whole number from ${min} to ${max}`);
  }
  return value;
}
