/** Input that is wrong, found before anything is paid. `field` names the place. */
export class InvalidInput extends Error {
  override readonly name = 'InvalidInput';
  readonly field: string;
  /** Field and problem, without a word about money. */
  readonly problem: string;
  constructor(field: string, problem: string) {
    super(`${field}: ${problem}. Nothing was sent to the API and nothing was paid.`);
    this.field = field;
    this.problem = `${field}: ${problem}.`;
  }
}

export function record(value: unknown, field: string): Record<string, unknown> {
  if (!isPlainObject(value)) throw new InvalidInput(field, 'must be a JSON object');
  // Null is how many languages write "not given"; inside params it is a value and stays.
  return field === 'params' ? value : Object.fromEntries(Object.entries(value).filter(([, v]) => v != null));
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** @param later - Published names of a later version, for which a plain word is better than "not a field". */
export function onlyKnown(
  fields: Record<string, unknown>,
  known: readonly string[],
  prefix: string,
  later: ReadonlySet<string> = new Set(),
): void {
  for (const name of Object.keys(fields)) {
    if (known.includes(name)) continue;
    const field = `${prefix}${name}`;
    if (later.has(field)) throw new InvalidInput(field, 'is not supported by this version');
    throw new InvalidInput(field, `is not a field of the input; known are ${known.join(', ')}`);
  }
}

// What has line breaks.
const LINES = new Set(['prompt', 'message']);

export function text(value: unknown, field: string, maxLength = Number.POSITIVE_INFINITY): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string') throw new InvalidInput(field, 'must be a string');
  if (value.trim() === '') throw new InvalidInput(field, 'is empty');
  if (value.length > maxLength) throw new InvalidInput(field, `is longer than ${maxLength} characters`);
  if (!LINES.has(field) && /\p{Cc}/u.test(value)) throw new InvalidInput(field, 'holds a control character');
  if (!value.isWellFormed()) throw new InvalidInput(field, 'holds half of a surrogate pair, which is no text');
  return value;
}

export function integer(value: unknown, field: string, max: number, min = 1): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new InvalidInput(field, `must be a whole number from ${min} to ${max}`);
  }
  return value;
}
