/**
 * The spending policy: what one Worker may pay for, upload and store, as its operator has written. It guarantees that
 * no input can widen it. Activities call it before they spend, and the Worker at its start.
 */

/** The rules of a policy; a rule that is null allows all. */
export interface SpendingPolicy {
  /** Where the rules are written, so that a denial can say who may change them. */
  readonly source: string;
  /** Model IDs; `*` stands for any characters. */
  readonly models: readonly string[] | null;
  /** Compared with the starting price of the model, the only price that is known before it is paid, for all attempts. */
  readonly maxCreditsPerGeneration: number | null;
  /** Addresses below which results may be stored. */
  readonly stores: readonly string[] | null;
  /** Directories, HTTPS and store addresses below which reference files may lie. */
  readonly references: readonly string[] | null;
}

/** A request to judge; fields that are left out are not judged. */
export interface Asked {
  readonly model?: string;
  /** Starting price of the model in credits; null where the list of models names none. */
  readonly basePrice?: number | null;
  /** Number of the paid attempt that is to be made. Default 1. */
  readonly attempt?: number;
  readonly store?: string;
  /** Paths with their symbolic links resolved, and addresses. */
  readonly references?: readonly string[];
}

/** The first rule that forbids the request, with what it forbids as a clause; or null. */
export function deniedBy(
  policy: SpendingPolicy,
  { model, basePrice, attempt = 1, store, references = [] }: Asked,
): { readonly rule: keyof Omit<SpendingPolicy, 'source'>; readonly why: string } | null {
  const { models, maxCreditsPerGeneration: most } = policy;
  if (model !== undefined && models !== null && !models.some((pattern) => matches(pattern, model))) {
    return { rule: 'models', why: `does not allow model "${model}" (allowed: ${list(models)})` };
  }
  if (basePrice !== undefined && most !== null) {
    const rule = 'maxCreditsPerGeneration';
    const limit = `allows at most ${most} credits for a generation, and`;
    const of = model === undefined ? 'this' : `"${model}"`;
    if (basePrice === null) return { rule, why: `${limit} the list of models names no price for ${of}` };
    const price = basePrice * attempt;
    const sum = attempt === 1 ? `${price}` : `${basePrice} x ${attempt} attempts = ${price}`;
    if (price > most) return { rule, why: `${limit} ${of} starts at ${sum}` };
  }
  if (store !== undefined && policy.stores !== null && !policy.stores.some((prefix) => isBelow(prefix, store))) {
    return { rule: 'stores', why: `does not allow store "${store}" (allowed: ${list(policy.stores)})` };
  }
  for (const reference of references) {
    if (policy.references === null || policy.references.some((prefix) => isBelow(prefix, reference))) continue;
    // A signed address is as good as a key.
    const named = reference.replace(/[?#].*$/, '');
    return { rule: 'references', why: `does not allow reference "${named}" (allowed: ${list(policy.references)})` };
  }
  return null;
}

function list(allowed: readonly string[]): string {
  return allowed.length === 0 ? 'none' : allowed.join(', ');
}

function matches(pattern: string, model: string): boolean {
  const literals = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literals.join('.*')}$`, 's').test(model);
}

/** True for the place of the prefix itself and for all places below it: `/data/in` does not cover `/data/input`. */
function isBelow(prefix: string, place: string): boolean {
  const [top, spot] = [canonical(prefix), canonical(place)];
  if (top === null || spot === null) return false;
  const folder = top.endsWith('/') ? top : `${top}/`;
  return spot === top || spot.startsWith(folder);
}

/** One spelling for each place; null for a spelling that could mean another place than it seems to. */
export function canonical(place: string): string | null {
  // A parser of addresses drops control characters and turns backslashes into slashes; a file system keeps both.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f\\]/.test(place) || place !== place.trim()) return null;
  if (/^[a-z][a-z0-9+.-]*:/i.test(place)) {
    if (!URL.canParse(place) || /^file:(?!\/)/i.test(place)) return null;
    const { protocol, username, password, host, pathname } = new URL(place);
    // Some servers and stores read an encoded slash as a slash, others do not.
    const hidden = username !== '' || password !== '' || /%(?:2f|5c)/i.test(pathname);
    return hidden ? null : `${protocol}//${host}${pathname}`;
  }
  if (!place.startsWith('/') || place.split('/').some((part) => part === '.' || part === '..')) return null;
  return place.replace(/\/{2,}/g, '/');
}
