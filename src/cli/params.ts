import path from 'node:path';
import type { GenerateMediaInput, MediaKind, ReferenceInput } from '../contract/index.js';
import { parseExactJson } from '../policy/exact-json.js';
import { InvalidInput } from '../policy/index.js';

/** The params of a command line, each `key=text` or `key:=json`; undefined for none. @throws InvalidInput */
export function readParams(assignments: readonly string[] = []): GenerateMediaInput['params'] {
  return eachOnce('params', assignments, (assignment) => {
    const [, key, operator, value = ''] = /^([^=:][^=]*?)(:?=)(.*)$/s.exec(assignment) ?? [];
    if (key === undefined) throw new InvalidInput('params', `"${assignment}" is not key=value or key:=json`);
    return [key, operator === ':=' ? parseExactJson(value, `params.${key}`) : value];
  });
}

/** Labels of a command line, each `name=text`. Undefined where there are none. */
export function readLabels(assignments: readonly string[] = []): Record<string, string> | undefined {
  return eachOnce('labels', assignments, (assignment) => {
    const at = assignment.indexOf('=');
    if (at < 1) throw new InvalidInput('labels', `"${assignment}" is not name=value`);
    return [assignment.slice(0, at), assignment.slice(at + 1)];
  });
}

function eachOnce<T>(field: string, assignments: readonly string[], read: (assignment: string) => [string, T]) {
  const entries = assignments.map(read);
  const names = entries.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new InvalidInput(`${field}.${twice}`, 'is given twice');
  // `fromEntries` makes plain properties also of names like `__proto__`.
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** References of a command line, each `kind:source`; a path is made absolute here. `readInput` judges the rest. */
export function readReferences(given: readonly string[] = []): ReferenceInput[] | undefined {
  const references = given.map((text, index): ReferenceInput => {
    const [, kind, source] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
    if (kind === undefined || source === undefined) {
      throw new InvalidInput(`references[${index}]`, `"${text}" is not kind:source, for example image:./fox.png`);
    }
    return { ...sourceOf(source), kind: kind as MediaKind };
  });
  return references.length === 0 ? undefined : references;
}

function sourceOf(source: string): { url: string } | { uri: string } | { path: string } {
  if (/^https?:/i.test(source)) return { url: source };
  // A letter before a colon is a drive.
  if (/^[a-z][a-z0-9+.-]+:/i.test(source)) return { uri: source };
  return { path: path.resolve(source) };
}
