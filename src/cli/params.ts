import path from 'node:path';
import type { GenerateMediaInput, JsonValue, MediaKind, ReferenceInput } from '../contract/index.js';
import { parseExactJson } from '../policy/exact-json.js';
import { InvalidInput } from '../policy/index.js';

type Params = NonNullable<GenerateMediaInput['params']>;

/**
 * The params of a command line: `key=text` (values of `select` parameters are texts, also booleans and durations),
 * `key:=json`, and one JSON object. Undefined where there are none.
 *
 * @throws InvalidInput for a key that is given twice, or for what is no JSON.
 */
export function readParams(assignments: readonly string[], json?: string): Params | undefined {
  const whole = json === undefined ? {} : parseExactJson(json, 'params');
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) {
    throw new InvalidInput('params', 'must be a JSON object, for example \'{"seed":42}\'');
  }
  const single = assignments.map((assignment): [string, JsonValue] => {
    const [, key, operator, value = ''] = /^([^=:][^=]*?)(:?=)(.*)$/s.exec(assignment) ?? [];
    if (key === undefined) throw new InvalidInput('params', `"${assignment}" is not key=value or key:=json`);
    return [key, operator === ':=' ? parseExactJson(value, `params.${key}`) : value];
  });
  return once('params', [...Object.entries(whole as Params), ...single]);
}

/** Labels of a command line, each `name=text`. */
export function readLabels(assignments: readonly string[]): Record<string, string> | undefined {
  const labels = assignments.map((assignment): [string, string] => {
    const at = assignment.indexOf('=');
    if (at < 1) throw new InvalidInput('labels', `"${assignment}" is not name=value`);
    return [assignment.slice(0, at), assignment.slice(at + 1)];
  });
  return once('labels', labels);
}

/** Undefined where there are none. */
function once<T>(field: string, entries: readonly [string, T][]): Record<string, T> | undefined {
  const names = entries.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new InvalidInput(`${field}.${twice}`, 'is given twice');
  // `fromEntries` makes plain properties also of names like `__proto__`.
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** References of a command line, each `kind:source`; a path is made absolute here. `readInput` judges the rest. */
export function readReferences(given: readonly string[]): ReferenceInput[] | undefined {
  const references = given.map((text, index): ReferenceInput => {
    const [, kind, source] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
    if (kind === undefined || source === undefined) {
      throw new InvalidInput(`references[${index}]`, `"${text}" is not kind:source, for example image:./fox.png`);
    }
    return { ...sourceOf(source), kind: kind as MediaKind };
  });
  return references.length === 0 ? undefined : references;
}

function sourceOf(source: string): Pick<ReferenceInput, 'path' | 'uri' | 'url'> {
  if (/^https?:/i.test(source)) return { url: source };
  // A letter before a colon is a drive.
  if (/^[a-z][a-z0-9+.-]+:/i.test(source)) return { uri: source };
  return { path: path.resolve(source) };
}
