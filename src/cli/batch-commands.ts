/** The commands of a batch as messages name them: with the option by which they find its store. Pure. */
import { absoluteAddress } from '../storage/open.js';
import type { Store } from '../storage/store.js';
import { advice } from './advice.js';
import { DEFAULT_STORE } from './batches.js';
import { quoted } from './output.js';

/** Where a batch is found. */
interface Place {
  readonly store: Pick<Store, 'address'>;
}

/** A command of this batch. */
export function commandOf(name: string, place: Place, batchId: string): string {
  return `rivya-temporal batch ${name} ${quoted(batchId)}${storeOption(place)}`;
}

/** The command that makes the page of a batch, and opens it where it lies on this machine. */
export function reportCommand(batchId: string, place: Place): string {
  return `${commandOf('report', place, batchId)}${place.store.address.startsWith('file:') ? ' --open' : ''}`;
}

/** What a Worker says of a batch, in the terms of the command line. It does not know with which store a command would look. */
export function batchAdvice(text: string, place: Place, batchId: string): string {
  const id = batchId.replaceAll('.', String.raw`\.`);
  const command = new RegExp(String.raw`\brivya-temporal batch (\w+) ${id}(?! --store)(?![\w-])`, 'g');
  return advice(text.replace(command, (_, name: string) => commandOf(name, place, batchId)));
}

/** The option by which another command finds the store, where it is not the usual one. */
function storeOption({ store }: Place): string {
  const usual = absoluteAddress(process.env['RIVYA_STORE'] ?? DEFAULT_STORE);
  return absoluteAddress(store.address) === usual ? '' : ` --store ${quoted(store.address)}`;
}
