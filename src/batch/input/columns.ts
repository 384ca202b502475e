/** What the columns of an input mean. A column that a batch does not read is carried to the tables of its results. */
import { InvalidInput } from '../../policy/fields.js';
import { paramColumn, paramValue, type ParamType } from './params.js';

/** A record of the input before its values are judged, in the form of a JSON line. */
export interface Draft {
  /** Line of the input file, from 1. */
  readonly line: number;
  readonly fields: Readonly<Partial<Record<(typeof FIELDS)[number], unknown>>>;
  readonly carried: Readonly<Record<string, string>>;
}

export type Column =
  | { readonly kind: 'field'; readonly name: 'id' | 'model' | 'prompt' | 'repeat' }
  | { readonly kind: 'param'; readonly name: string; readonly type: ParamType | null }
  | { readonly kind: 'label' | 'carried'; readonly name: string }
  | { readonly kind: 'reference' };

/** The type of a param by the list of models; null where the list does not tell. */
export type TypeOf = (model: string, param: string) => ParamType | null;

const FIELDS = ['id', 'model', 'prompt', 'repeat', 'params', 'references', 'labels'] as const;
const FORMS: Readonly<Record<string, readonly [column: string, key: string]>> = {
  id: ['id', 'id'],
  model: ['model', 'model'],
  prompt: ['prompt', 'prompt'],
  repeat: ['repeat', 'repeat'],
  param: ['params.<name>', 'params'],
  reference: ['reference', 'references'],
  label: ['label.<name>', 'labels'],
};
const OTHER_INPUT = ['idempotencyKey', 'taskId', 'clientRequestId', 'options'];

/**
 * A name that a batch does not read. One that looks like a misspelt column is refused: its values would be left out of
 * requests that are paid for.
 * @throws InvalidInput
 */
function carriedName(name: string, form: 0 | 1): string {
  if (OTHER_INPUT.includes(name)) {
    throw new InvalidInput(
      name,
      'belongs to single generations, and a batch does not read it; take it out or rename it',
    );
  }
  const plain = (name.split('.')[0] ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z]/g, '')
    .replace(/s$/, '');
  const meant = Object.hasOwn(FORMS, plain) ? FORMS[plain]?.[form] : undefined;
  if (meant === undefined) return name;
  throw new InvalidInput(name, `is not read; write ${meant}, or give it a name of its own`);
}

/** @throws InvalidInput that names the column. */
export function columnOf(given: string): Column {
  const name = given.trim();
  if (name === 'id' || name === 'model' || name === 'prompt' || name === 'repeat') return { kind: 'field', name };
  // `reference.start` and `reference.end` are two references, in the order of the columns.
  if (/^reference(\..+)?$/s.test(name)) return { kind: 'reference' };
  const [, prefix, rest = ''] = /^(params|label)\.(.+)$/s.exec(name) ?? [];
  if (prefix === 'params') return { kind: 'param', ...paramColumn(rest) };
  if (prefix === 'label') return { kind: 'label', name: rest };
  return { kind: 'carried', name: carriedName(name, 0) };
}

/** The names of the columns that are there twice; two types of one param are one name. */
export function twice(columns: readonly (Column | null)[], names: readonly string[]): string[] {
  const keys = columns.map((column, index) =>
    column?.kind === 'param' ? `params.${column.name}` : names[index]?.trim(),
  );
  return [
    ...new Set(keys.filter((key, index) => key !== '' && key !== undefined && keys.indexOf(key) !== index)),
  ] as string[];
}

/**
 * A row of a table. A cell that is empty counts as left out.
 * @param columns - Null for a column without a name.
 * @throws InvalidInput
 */
export function rowDraft(
  { line, cells }: { readonly line: number; readonly cells: readonly string[] },
  columns: readonly (Column | null)[],
  { model: defaultModel, typeOf }: { readonly model: string | undefined; readonly typeOf: TypeOf },
): Draft {
  const count = cells.findLastIndex((cell) => cell.trim() !== '') + 1;
  if (count > columns.length || cells.length < columns.length) {
    const found = cells.length === 1 ? '1 cell' : `${cells.length} cells`;
    const problem = `has ${found}, and the first line has ${columns.length}`;
    throw new InvalidInput('The row', `${problem}; put a cell that holds the delimiter or a line end into quotes`);
  }
  const model = cells[columns.findIndex((column) => column?.kind === 'field' && column.name === 'model')]?.trim();
  const fields: Record<string, unknown> = {};
  const params: [string, unknown][] = [];
  const labels: [string, string][] = [];
  const references: string[] = [];
  const carried: [string, string][] = [];
  for (const [index, column] of columns.entries()) {
    const cell = cells[index] ?? '';
    if (column?.kind === 'carried') carried.push([column.name, cell]);
    if (cell.trim() === '') continue;
    if (column === null) throw new InvalidInput(`Column ${index + 1}`, 'has a value and no name');
    if (column.kind === 'reference') references.push(cell);
    if (column.kind === 'label') labels.push([column.name, cell]);
    if (column.kind === 'param') {
      const type = column.type ?? typeOf(model || (defaultModel ?? ''), column.name);
      params.push([column.name, paramValue(cell, type, column.name)]);
    }
    if (column.kind === 'field') {
      const value = column.name === 'prompt' ? cell : cell.trim();
      fields[column.name] = column.name === 'repeat' && /^\d+$/.test(value) ? Number(value) : value;
    }
  }
  if (params.length > 0) fields['params'] = Object.fromEntries(params);
  if (labels.length > 0) fields['labels'] = Object.fromEntries(labels);
  if (references.length > 0) fields['references'] = references;
  return { line, fields, carried: Object.fromEntries(carried) };
}

/** A JSON line. Null counts as left out. @throws InvalidInput */
export function objectDraft(line: number, value: unknown): Draft {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInput('The line', 'must be a JSON object');
  }
  const entries = Object.entries(value).filter(([, field]) => field != null);
  const isField = (name: string): boolean => FIELDS.some((known) => known === name);
  const carried = entries.flatMap(([name, field]: [string, unknown]) => {
    if (isField(name)) return [];
    return [[carriedName(name, 1), typeof field === 'string' ? field : JSON.stringify(field)] as const];
  });
  const fields = Object.fromEntries(entries.filter(([name]) => isField(name)));
  return { line, fields, carried: Object.fromEntries(carried) };
}
