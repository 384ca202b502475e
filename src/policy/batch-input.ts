/** The checks of the input of a batch and of its requests. They name the field that is wrong, before anything is started. */
import type { BatchInput, BatchRequests, BatchSettings } from '../contract/index.js';
import { credits, InvalidInput, integer, onlyKnown, record, text } from './fields.js';

const IN_FLIGHT = 50;
export const MOST_IN_FLIGHT = 1_000;
export const MOST_ITEMS = 10_000_000;

/** Checks an input and fills in the defaults. @throws InvalidInput */
export function readBatchInput(input: unknown): BatchInput {
  const fields = record(input, 'input');
  onlyKnown(fields, ['manifest', 'settings'], '');
  const settings = fields['settings'] === undefined ? {} : record(fields['settings'], 'settings');
  return { manifest: readManifest(fields['manifest']), settings: readBatchSettings(settings) };
}

/** Checks settings and fills in the defaults. @throws InvalidInput */
export function readBatchSettings(given: { readonly [name: string]: unknown }): BatchSettings {
  const settings = record(given, 'settings');
  onlyKnown(settings, ['maxInFlight', 'maxCredits', 'maxFailures', 'first'], 'settings.');
  return {
    maxInFlight: integer(settings['maxInFlight'], 'settings.maxInFlight', MOST_IN_FLIGHT) ?? IN_FLIGHT,
    maxCredits: credits(settings['maxCredits'] ?? undefined, 'settings.maxCredits'),
    maxFailures: readMaxFailures(settings['maxFailures']),
    first: integer(settings['first'], 'settings.first', MOST_ITEMS),
  };
}

function readManifest(value: unknown, name = 'manifest'): string {
  if (typeof value === 'string' && /^[\da-f]{64}$/.test(value)) return value;
  throw new InvalidInput(name, 'must be the SHA-256 of a manifest in the store, 64 hex digits');
}

function readMaxFailures(value: unknown): string | null {
  const failures = text(value, 'settings.maxFailures', 20);
  if (failures === null || isMaxFailures(failures)) return failures;
  throw new InvalidInput('settings.maxFailures', 'must be a number of items from 1 on, or a share such as "20%"');
}

/** True for a number of items from 1 on, or a share of all such as `20%`. */
export function isMaxFailures(failures: string): boolean {
  const [, digits, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(failures) ?? [];
  if (digits === undefined) return false;
  const number = Number(digits);
  return percent === '%' ? number > 0 && number <= 100 : number >= 1 && Number.isInteger(number);
}

type Requests = { readonly [Name in keyof BatchRequests]: (argument: unknown) => BatchRequests[Name] };

const nothing = (argument: unknown): undefined =>
  void (argument == null || onlyKnown(record(argument, 'input'), [], ''));

function itemOf(argument: unknown): { readonly itemId: string } {
  const fields = record(argument, 'input');
  onlyKnown(fields, ['itemId'], '');
  const itemId = text(fields['itemId'], 'itemId', 100);
  if (itemId === null) throw new InvalidInput('itemId', 'is missing: give the ID of an item, as in {"itemId": "…"}');
  return { itemId };
}

/** The arguments of the requests, checked. Null counts as left out. Each throws InvalidInput. */
export const BATCH_REQUESTS: Requests = {
  pause: nothing,
  resume: nothing,
  setMaxInFlight: (argument) => {
    const fields = record(argument, 'input');
    onlyKnown(fields, ['maxInFlight'], '');
    const maxInFlight = integer(fields['maxInFlight'], 'maxInFlight', MOST_IN_FLIGHT);
    if (maxInFlight === null) throw new InvalidInput('maxInFlight', 'is missing');
    return { maxInFlight };
  },
  setMaxCredits: (argument) => {
    // Null means any number, so it must be told from a field that is missing.
    const given = argument as { readonly maxCredits?: unknown } | null | undefined;
    onlyKnown(record(argument, 'input'), ['maxCredits'], '');
    if (given?.maxCredits === undefined) throw new InvalidInput('maxCredits', 'is missing; null allows any number');
    return { maxCredits: credits(given.maxCredits ?? undefined, 'maxCredits') };
  },
  retryItem: itemOf,
  skipItem: itemOf,
  setManifest: (argument) => {
    const fields = record(argument, 'input');
    onlyKnown(fields, ['manifest', 'first', 'from'], '');
    const { from } = fields;
    return {
      manifest: readManifest(fields['manifest']),
      ...(from != null && { from: readManifest(from, 'from') }),
      ...(Object.hasOwn(argument as object, 'first') && { first: integer(fields['first'], 'first', MOST_ITEMS) }),
    };
  },
};
