/**
 * `--name "{sku}-{n}"`: the names of the files that `batch download` writes. In the store, files are named by item, so that no
 * result replaces another one, whatever a template says.
 */
import type { BatchItem } from '../../contract/batch.js';
import { InvalidInput } from '../../policy/fields.js';

const OPTION = '--name';
// A file system takes 255 bytes; the rest is for the number of the file, its ending, and the name while it is copied.
const LONGEST_PART = 180;
const LONGEST_VALUE = 90;
const OWN = ['id', 'n', 'model', 'prompt'];

export interface NameTemplate {
  /**
   * Name of the n-th file (from 1) of an item, without its ending, with `/` between folders.
   * @throws InvalidInput where a column is empty, or the name is none.
   */
  nameOf(item: BatchItem, n: number): string;
}

/**
 * Reads a template: text, and columns in braces. `{n}` is the number of the variant.
 * @param carried - Names of the carried columns.
 * @throws InvalidInput that begins with `--name`.
 */
export function readTemplate(template: string, carried: readonly string[]): NameTemplate {
  // Text and columns by turns.
  const parts = template.split(/\{([^{}]*)\}/);
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) checkColumn(part, carried);
    else if (/[^\p{L}\p{N} ._\-/]/u.test(part)) {
      throw new InvalidInput(OPTION, `"${part}" may hold letters, digits, spaces, ".", "_", "-" and "/" only`);
    }
  }
  return {
    nameOf(item, n) {
      const texts = parts.map((part, index) => (index % 2 === 1 ? plain(valueOf(item, part)) : part));
      const empty = texts.findIndex((text, index) => index % 2 === 1 && text === '');
      if (empty !== -1) throw new InvalidInput(OPTION, `{${parts[empty]}} is empty in item ${item.id}`);
      const names = texts.join('').normalize('NFC').split('/').map(safePart);
      const wrong = names.some((name) => name === '' || Buffer.byteLength(name) > LONGEST_PART);
      if (wrong) throw new InvalidInput(OPTION, `gives item ${item.id} a name that is empty or too long`);
      // No name has a ~, so the second file of one item cannot take the name of another item.
      return `${names.join('/')}${n === 1 ? '' : `~${n}`}`;
    },
  };
}

/** @throws InvalidInput where two items would have one name, on a file system that does not tell capitals apart either. */
export async function checkNames(template: NameTemplate, items: AsyncIterable<BatchItem>): Promise<void> {
  const taken = new Map<string, string>();
  for await (const item of items) {
    const name = template.nameOf(item, 1);
    const other = taken.get(name.toLowerCase());
    if (other !== undefined) {
      const advice = 'add {n}, the number of the variant, or {id}';
      throw new InvalidInput(OPTION, `gives items ${other} and ${item.id} the same name, "${name}"; ${advice}`);
    }
    taken.set(name.toLowerCase(), item.id);
  }
}

function checkColumn(name: string, carried: readonly string[]): void {
  if (OWN.includes(name) || carried.includes(name) || /^(label|params)\../.test(name)) return;
  const known = [...OWN, ...carried, 'label.<name>', 'params.<name>'].map((column) => `{${column}}`);
  throw new InvalidInput(OPTION, `there is no column {${name}}; there are ${known.join(', ')}`);
}

function valueOf({ id, variant, input, carried }: BatchItem, name: string): string {
  if (Object.hasOwn(carried, name)) return carried[name] ?? '';
  if (name === 'id') return id;
  if (name === 'n') return String(variant);
  if (name === 'model') return input.model;
  if (name === 'prompt') return input.prompt ?? '';
  const [, kind, key = ''] = /^(label|params)\.(.+)$/s.exec(name) ?? [];
  const values: Readonly<Record<string, unknown>> = (kind === 'label' ? input.labels : input.params) ?? {};
  const value = Object.hasOwn(values, key) ? values[key] : '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A value as a part of a name: it makes no folder, and a long one is cut. */
function plain(value: string): string {
  const safe = value.normalize('NFC').replaceAll(/[^\p{L}\p{M}\p{N} ._-]+/gu, '-');
  let bytes = 0;
  return [...trimmed(safe)].filter((letter) => (bytes += Buffer.byteLength(letter)) <= LONGEST_VALUE).join('');
}

/** A part that every file system takes. */
function safePart(part: string): string {
  const name = trimmed(part);
  return /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name) ? `_${name}` : name;
}

function trimmed(text: string): string {
  return text.replace(/^[ .-]+|[ .-]+$/g, '');
}
