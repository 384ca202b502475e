/** The IDs of items: given, or derived from the request. The place of a line in its file never counts. */
import { InvalidInput } from '../../policy/fields.js';
import { slug } from '../../policy/key.js';

const LONGEST = 100;
// 64 bits: of a million requests two meet with a chance below one in ten million.
const DIGEST_HEX = 16;

// They lie in the folder of the batch, where each item has a folder of its own.
const TABLES = ['results.csv', 'results.jsonl', 'report.html'];

interface Known {
  readonly digest: string;
  readonly line: number;
  /** True for the ID of a variant, which was made from another ID. */
  readonly isVariant: boolean;
  variants: number;
}

/** The ID that a request without a given one has, in every release (`test/golden`). */
export function derivedId({ model, prompt }: { model: string; prompt: string | null }, digest: string): string {
  return `${slug((prompt ?? model).toLowerCase(), 40)}-${digest.slice(0, DIGEST_HEX)}`;
}

/** The ID that a person has given; null for none. @throws InvalidInput */
export function givenId(value: unknown): string | null {
  if (value === undefined) return null;
  const id = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  const taken = typeof id === 'string' && TABLES.includes(id);
  if (taken)
    throw new InvalidInput('id', `"${id}" is the name of a file that the batch itself writes; choose another one`);
  if (typeof id === 'string' && id.length <= LONGEST && /^[A-Za-z0-9._-]+$/.test(id)) return id;
  throw new InvalidInput('id', `must be 1 to ${LONGEST} characters of A-Z, a-z, 0-9, ".", "_" and "-"`);
}

/** Gives the items of one input their IDs: items that are equal are variants, and each has an ID of its own. */
export class ItemIds {
  readonly #known = new Map<string, Known>();

  /** The next variant of an ID. @throws InvalidInput where the ID stands for something else already. */
  next(id: string, digest: string, line: number): { readonly id: string; readonly variant: number } {
    const known = this.#known.get(id);
    if (known === undefined) {
      this.#known.set(id, { digest, line, isVariant: false, variants: 1 });
      return { id, variant: 1 };
    }
    if (known.isVariant) throw new InvalidInput('id', `"${id}" is also a variant of the item on line ${known.line}`);
    if (known.digest !== digest) {
      throw new InvalidInput('id', `"${id}" is also on line ${known.line}, with another content`);
    }
    const variant = known.variants + 1;
    const made = `${id}-${variant}`;
    if (made.length > LONGEST) throw new InvalidInput('id', `"${made}" is longer than ${LONGEST} characters`);
    const other = this.#known.get(made);
    if (other !== undefined) {
      throw new InvalidInput('id', `variant ${variant} of "${id}" has the ID of the item on line ${other.line}`);
    }
    known.variants = variant;
    this.#known.set(made, { digest, line, isVariant: true, variants: 1 });
    return { id: made, variant };
  }
}
