/** The values of `params.<name>` columns: a table has texts only, and the API tells `5` from `"5"`. */
import type { JsonValue } from '../../contract/index.js';
import { parseExactJson } from '../../policy/exact-json.js';
import { InvalidInput } from '../../policy/fields.js';

const TYPES = ['text', 'number', 'boolean', 'json'] as const;
export type ParamType = (typeof TYPES)[number];

/** The name and the type in `duration:number`; the type is null where none is written. @throws InvalidInput */
export function paramColumn(text: string): { readonly name: string; readonly type: ParamType | null } {
  const [, name = text, written] = /^(.+):([^:]*)$/s.exec(text) ?? [];
  const type = TYPES.find((known) => known === written) ?? null;
  if (written !== undefined && type === null) {
    throw new InvalidInput(
      `params.${text}`,
      `has no known type; write ${TYPES.map((known) => `:${known}`).join(', ')}`,
    );
  }
  return { name, type };
}

/** A cell as a value of this type. Null: the type cannot be known now. @throws InvalidInput */
export function paramValue(cell: string, type: ParamType | null, name: string): JsonValue {
  const field = `params.${name}`;
  const plain = cell.trim();
  if (type === 'json') return parseExactJson(plain, field);
  if (type === 'number') {
    if (isNumber(plain)) return parseExactJson(plain, field);
    throw new InvalidInput(field, `"${cell}" is no number; write 5 or 0.5`);
  }
  if (type === 'boolean') {
    if (isBoolean(plain)) return plain.toLowerCase() === 'true';
    throw new InvalidInput(field, `"${cell}" is neither true nor false`);
  }
  if (type === null && (isNumber(plain) || isBoolean(plain))) {
    const problem = `"${plain}" may be a ${isNumber(plain) ? 'number' : 'boolean'} or a text, and no list of models tells which`;
    throw new InvalidInput(
      field,
      `${problem}; name the column params.${name}:text or :${isNumber(plain) ? 'number' : 'boolean'}`,
    );
  }
  return cell;
}

function isNumber(text: string): boolean {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text);
}

function isBoolean(text: string): boolean {
  return /^(true|false)$/i.test(text);
}
