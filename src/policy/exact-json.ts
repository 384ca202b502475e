/** Reads JSON that people write and refuses each number and name that a JavaScript value cannot keep. */
import type { JsonValue } from '../contract/index.js';
import { InvalidInput } from './fields.js';

/** Parses JSON. @throws InvalidInput that begins with `field` and the place in the document. */
export function parseExactJson(text: string, field: string): JsonValue {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    throw new InvalidInput(field, `is not JSON (${(error as Error).message})`);
  }
  checkTokens(text, field);
  return value;
}

interface Level {
  readonly names: Set<string> | null;
  /** Where in its parent the next value stands: a name, or an index. */
  at: string;
  index: number;
  expectsName: boolean;
}

/** Walks over the tokens of a text that is known to be JSON. */
function checkTokens(text: string, field: string): void {
  const levels: Level[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]/g)) {
    const level = levels.at(-1);
    if (token === '{' || token === '[') {
      const names = token === '{' ? new Set<string>() : null;
      levels.push({ names, at: names === null ? '[0]' : '', index: 0, expectsName: names !== null });
    } else if (token === '}' || token === ']') {
      levels.pop();
    } else if (token === ':') {
      if (level !== undefined) level.expectsName = false;
    } else if (token === ',' && level !== undefined) {
      level.expectsName = level.names !== null;
      if (level.names === null) level.at = `[${++level.index}]`;
    } else if (token.startsWith('"')) {
      if (level === undefined || level.names === null || !level.expectsName) continue;
      const name = JSON.parse(token) as string;
      level.at = `.${name}`;
      if (level.names.has(name)) throw new InvalidInput(place(field, levels), 'stands twice in the same object');
      level.names.add(name);
    } else if (!isExact(token)) {
      // A number of a million digits would fill the screen.
      const shown = token.length > 40 ? `${token.slice(0, 40)}…` : token;
      const problem = `${shown} is a number that JSON cannot carry exactly; send it as a string`;
      throw new InvalidInput(place(field, levels), problem);
    }
  }
}

function place(field: string, levels: readonly Level[]): string {
  return field + levels.map(({ at }) => at).join('');
}

/** True where the number that JavaScript makes of a JSON number is, written out, the same number. */
export function isExact(token: string): boolean {
  const number = Number(token);
  return Number.isFinite(number) && decimal(token) === decimal(String(number));
}

/** A decimal number as digits without outer zeros and the power of ten of the last digit: one text for each number. */
function decimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const kept = digits.replace(/0+$/, '');
  if (kept === '') return '0';
  return `${sign}${kept}e${Number(exponent) - fraction.length + digits.length - kept.length}`;
}
