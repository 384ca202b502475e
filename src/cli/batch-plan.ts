/** What a batch will cost, said before anything is spent, and the consent to it. */
import type { ModelInfo } from '../api/index.js';
import type { Changes } from '../batch/input/change.js';
import type { BatchFiles, BatchHead } from '../batch/files.js';
import { planOf, timeOf, type Plan } from '../batch/plan.js';
import { rowsOf } from '../batch/results.js';
import { isMediaKind, type BatchManifest, type BatchSettings } from '../contract/index.js';
import { formatRange, range } from '../policy/index.js';
import type { BatchPlace } from './batch-place.js';
import { counted, leftText, number } from './batch-progress.js';
import { UsageError } from './errors.js';
import type { Flags } from './options.js';
import { print, say } from './output.js';
import { confirmSpending } from './terminal.js';

/** @throws UsageError where tasks of the emulator and of the API would be in one batch. */
export function refuseOtherApi({ api, batchId }: BatchManifest, place: BatchPlace): void {
  if (api === place.api) return;
  const nameOf = (one: string): string => (one === 'emulator' ? 'the emulator' : `the API at ${one}`);
  const hint =
    api === 'emulator'
      ? 'For the real API, choose another --id; to go on with this one, unset RIVYA_API_KEY.'
      : 'Set RIVYA_API_KEY (and RIVYA_BASE_URL) as before, or choose another --id.';
  throw new UsageError(
    `--id: batch "${batchId}" in the store ${place.store.address} is one of ${nameOf(api)}, and this would go on with ${nameOf(place.api)}. The two are never mixed. ${hint} Nothing was paid.`,
  );
}

/** @throws UsageError where not even one item would be started. */
export function refuseSmallBudget({ cheapest, spentCredits, remaining }: Plan, { maxCredits }: BatchSettings): void {
  if (maxCredits === null || remaining === 0 || maxCredits - spentCredits >= (cheapest ?? Number.MIN_VALUE)) return;
  const next = cheapest === null ? '' : `, and the cheapest item costs ${number(cheapest)}`;
  const spent = spentCredits === 0 ? '' : `; ${number(spentCredits)} are spent already`;
  throw new UsageError(`--max-credits: ${number(maxCredits)} allows no item${spent}${next}. Nothing was paid.`);
}

/** @throws UsageError where the limit of the batch does not allow these credits on top of what it has spent. */
export async function refuseOverBudget(
  credits: number,
  { files, manifest }: { readonly files: BatchFiles; readonly manifest: BatchManifest },
  maxCredits: number | null,
): Promise<void> {
  if (maxCredits === null || credits === 0) return;
  const { spentCredits } = await planOf(rowsOf(files, manifest), { ...manifest, first: null });
  if (spentCredits + credits <= maxCredits) return;
  throw new UsageError(
    `--max-credits: ${number(maxCredits)} does not allow them: ${number(spentCredits)} are spent already, and they cost about ${number(credits)}. Allow more, as with --max-credits ${Math.ceil(spentCredits + credits)}. Nothing was paid.`,
  );
}

export interface Shown {
  readonly batchId: string;
  readonly place: BatchPlace;
  readonly plan: Plan;
  readonly settings: BatchSettings;
  readonly changes: Changes | null;
  readonly balance: number | null;
  /** What was started and had not ended when the last command did. */
  readonly left: BatchHead['left'];
  readonly models: readonly ModelInfo[] | null;
  readonly problem: string | null;
  /** True where the plan is all that the command gives: it goes to stdout. */
  readonly dryRun?: boolean;
}

/** Where the batch stands, and what the rest will take: before anything is spent. */
export function sayPlan({
  batchId,
  place,
  plan,
  settings,
  changes,
  balance,
  left,
  models,
  problem,
  dryRun = false,
}: Shown): void {
  const out = dryRun ? print : say;
  const { items, done, remaining, estimate, spentCredits } = plan;
  const isEmulator = place.api === 'emulator';
  const nothing = `nothing will be paid for ${done === 1 ? 'it' : 'them'}.`;
  out(
    done === 0 ? `${counted(items, 'item')}, none done yet.` : `${number(done)} of ${number(items)} done, ${nothing}`,
  );
  if (changes !== null) sayChanges(changes, 'The file is another one than before:', out);
  if (problem !== null) out(problem);
  if (isEmulator) out('The emulator answers instead of the API: nothing is paid, and the media is not real.');
  if (remaining === 0) return;
  const price = range(number(estimate.from), number(estimate.to));
  const unknown = estimate.unpriced === 0 ? '' : `, and ${number(estimate.unpriced)} items of which no price is known`;
  const limit =
    settings.maxCredits === null ? 'none' : `${number(settings.maxCredits)}, for all items of the batch together`;
  const short = balance !== null && balance < estimate.from ? `${number(balance)} credits: FEWER than that` : null;
  facts(out, `${batchId}: ${number(remaining)} to do`, [
    ['credits', `${price}${unknown}`],
    ['spent so far', spentCredits === 0 ? null : number(spentCredits)],
    ['under way', left ? leftText(left) : null],
    ['limit', isEmulator && settings.maxCredits === null ? null : limit],
    ['balance', isEmulator ? null : (short ?? (balance === null ? 'not known' : `${number(balance)} credits`))],
    ['time', timeRange(plan, settings, place, models)],
    ['results', place.store.address],
  ]);
}

function facts(out: typeof say, title: string, rows: readonly (readonly [string, string | null])[]): void {
  out(title);
  for (const [name, value] of rows) if (value !== null) out(`  ${name.padEnd(12)}  ${value}`);
}

function timeRange(plan: Plan, settings: BatchSettings, place: BatchPlace, models: readonly ModelInfo[] | null) {
  const kinds = new Map(models?.map(({ id, category }) => [id, category]));
  const limits = { perMinute: place.settings.rateLimitPerMinute, maxInFlight: settings.maxInFlight };
  const [from, to] = timeOf(plan, limits, (model) => {
    const kind = kinds.get(model);
    return isMediaKind(kind) ? kind : null;
  });
  return formatRange({ from, to });
}

/** What another input changes, and what that costs. */
export function sayChanges(changes: Changes, title: string, out = say): void {
  const { estimate } = changes;
  out(title);
  for (const kind of ['same', 'new', 'changed', 'gone'] as const) {
    const { items, ids } = changes[kind];
    const named = kind === 'same' || items === 0 ? '' : `  ${ids.join(', ')}${items > ids.length ? ', …' : ''}`;
    out(`  ${kind.padEnd(8)}${number(items).padStart(8)}${named}`);
  }
  const price = range(number(estimate.from), number(estimate.to));
  const gone = changes.gone.items === 0 ? '' : ' Those that are gone keep their results, and start no more.';
  out(`  New and changed items will cost ${price} credits.${gone}`);
}

/** The plan as the JSON document of a dry run. */
export function documentOf({ batchId, place, plan, settings, changes, balance }: Shown) {
  const { items, done, remaining, failed, spentCredits, estimate } = plan;
  const counts = { items, done, remaining, failed, spentCredits };
  return {
    dryRun: true,
    batchId,
    api: place.api,
    store: place.store.address,
    ...counts,
    estimate,
    balance,
    settings,
    changes,
  };
}

interface Consent {
  readonly place: Pick<BatchPlace, 'api'>;
  /** Items that would be started. */
  readonly remaining: number;
  readonly maxCredits: number | null;
  readonly changes: Changes | null;
  readonly interrupted: AbortSignal;
}

/** Consent to what it will cost, and to another file than before. @throws UsageError where nobody can be asked */
export async function mayGoOn(
  { yes = false }: Flags<'yes'>,
  { place, remaining, maxCredits, changes, interrupted }: Consent,
): Promise<boolean> {
  const pays = remaining > 0 && place.api !== 'emulator';
  if (!pays && changes === null) return true;
  if (yes && (!pays || maxCredits !== null || process.stdin.isTTY)) return true;
  const needs = `Without one, --yes${pays ? ' and --max-credits <n> are' : ' is'} needed.`;
  const question = pays ? `Start ${number(remaining)} items? [y/N] ` : 'Go on with the edited file? [y/N] ';
  return confirmSpending(question, needs, interrupted);
}
