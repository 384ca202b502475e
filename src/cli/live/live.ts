import type { ModelInfo, Secret } from '../../api/index.js';
import { readSettings } from '../../config.js';
import { confirmSpending } from '../confirm.js';
import { openApi } from '../context.js';
import type { Finding } from '../diagnosis.js';
import { STATUS, UsageError } from '../errors.js';
import { print, printJson, say, table } from '../output.js';
import { interruption } from '../signals.js';
import { assess, statusOf, type LiveReport } from './assess.js';
import { probe, type ProbeOptions } from './probe.js';
import { checkRecordFile, writeRecording } from './record.js';
import { Wire } from './wire.js';

export interface LiveOptions {
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly record?: string;
  /** Default 2. */
  readonly maxCredits?: number;
}

// A task of the cheapest model, and one more where a replay is charged.
const DEFAULT_MAX_CREDITS = 2;

/** What tests replace: the terminal, the environment and the pace. */
export interface LiveParts extends Pick<ProbeOptions, 'pollMs' | 'waitMs'> {
  readonly env?: NodeJS.ProcessEnv;
  readonly interrupted?: AbortSignal;
  readonly confirm?: typeof confirmSpending;
  readonly tell?: (line: string) => void;
}

/** `doctor --live`: asks the account of the settings how it behaves, after consent and for a bounded price. */
export async function doctorLive(options: LiveOptions, parts: LiveParts = {}): Promise<number> {
  const { json = false, maxCredits = DEFAULT_MAX_CREDITS, record } = options;
  const { env = process.env, confirm = confirmSpending, interrupted = interruption(), tell = say, ...pace } = parts;
  const { keys, baseUrl } = readSettings(env);
  const key = (await keys?.current()) ?? null;
  if (key === null) {
    const dev = (await openApi(env)).ofDev ? ' ("dev" needs none: it asks its emulator)' : '';
    throw new UsageError(
      `--live: there is no API key${dev}, so nothing was sent. Set RIVYA_API_KEY or RIVYA_API_KEY_FILE. To try it for nothing, start "rivya-temporal emulator" and set what it prints.`,
    );
  }
  if (record !== undefined) checkRecordFile(record);

  const wire = new Wire(baseUrl, key, env);
  try {
    const models = await wire.step('models', (client) => client.listModels());
    if (models.value === null) throw models.error ?? new Error('no list of models');
    const model = chooseModel(models.value.models, maxCredits);
    const { simulated } = models.value;
    for (const line of terms({ baseUrl, key, model, maxCredits, record, simulated })) tell(line);
    const agreed = options.yes === true || (await confirm('Spend them? [y/N] ', 'Give --yes to spend.', interrupted));
    if (interrupted.aborted) return STATUS.interrupted;
    if (!agreed) throw new UsageError('Nothing was posted and nothing was spent.');

    const observed = await probe({ wire, model, maxCredits, say: tell, interrupted, ...pace });
    const report = assess(observed, wire.exchanges);
    const findings = [...report.findings, ...(record === undefined ? [] : [recorded(record, wire)])];
    const ok = findings.every(({ level }) => level !== 'fail');
    if (json) printJson({ ok, baseUrl, fingerprint: key.fingerprint(), model: model.id, ...report, findings });
    else printReport(report, findings);
    if (observed.interrupted) tell('Interrupted: what was posted by then stands above.');
    return statusOf(findings, observed.interrupted);
  } finally {
    await wire.close();
  }
}

interface Choice {
  readonly id: string;
  readonly price: number;
}

/**
 * The cheapest image model with a fixed price that takes a prompt; `z-image` where several cost the same.
 *
 * @throws UsageError where two tasks of it could cost more than the limit: one that is asked for, and one that an API
 * makes although it must not.
 */
export function chooseModel(models: readonly ModelInfo[], maxCredits: number): Choice {
  const [cheapest] = models
    .flatMap(({ id, kind, billingType, apiStatus, baseCredits, supportedModes }) => {
      const usable = kind === 'image' && billingType === 'FIXED' && (apiStatus ?? 'available') === 'available';
      const takesText = supportedModes.length === 0 || supportedModes.includes('text-to-image');
      return usable && takesText && baseCredits !== null && baseCredits > 0 ? [{ id, price: baseCredits }] : [];
    })
    .toSorted((a, b) => a.price - b.price || Number(b.id === 'z-image') - Number(a.id === 'z-image'));
  if (cheapest === undefined) {
    throw new UsageError('--live: the API lists no image model with a fixed price. Nothing was posted.');
  }
  if (2 * cheapest.price > maxCredits) {
    throw new UsageError(
      `--live: the cheapest model, ${cheapest.id}, costs ${cheapest.price} credits, and an API that charges a replay takes them twice: that exceeds --max-credits ${maxCredits}. Nothing was posted. Allow it with --max-credits ${2 * cheapest.price}.`,
    );
  }
  return cheapest;
}

interface Terms {
  readonly baseUrl: string;
  readonly key: Secret;
  readonly model: Choice;
  readonly maxCredits: number;
  readonly record: string | undefined;
  readonly simulated: boolean;
}

function terms({ baseUrl, key, model: { id, price }, maxCredits, record, simulated }: Terms): string[] {
  return [
    `This asks the account how it behaves, with ${simulated ? 'simulated' : 'REAL'} credits:`,
    `  address    ${baseUrl}${simulated ? ' (the emulator: nothing is paid)' : ''}`,
    `  API key    fingerprint ${key.fingerprint()}`,
    `  model      ${id}, ${price} ${price === 1 ? 'credit' : 'credits'} each by the API's list of models`,
    `  costs      ${price} where a replay charges once, never more than ${maxCredits}`,
    '  steps      create; the same again; another body under the same key; an invalid body, twice; the status until it',
    '             has ended (minutes at most); the same create again; the balance before, between and after',
    ...(record === undefined ? [] : [`  record     the redacted traffic goes to ${record}`]),
  ];
}

function recorded(file: string, wire: Wire): Finding {
  try {
    writeRecording(file, wire.exchanges);
    const says = `${wire.exchanges.length} exchanges in ${file}; read it before you give it to anybody`;
    return { name: 'record', level: 'ok', says };
  } catch (error) {
    const says = `${file} could not be written (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`;
    return { name: 'record', level: 'fail', says };
  }
}

function printReport({ switches, emulator, headers }: LiveReport, findings: readonly Finding[]): void {
  for (const { level, name, says } of findings) print(`${level.padEnd(5)} ${name}: ${says}`);
  print('\nSwitches of the emulator that match (docs/emulator.md):');
  const rows = Object.entries(switches).map(([name, { says }]) => [`  ${name}`, says]);
  for (const line of table(rows)) print(line);
  print(`\nHeaders seen: ${headers.names.join(', ')}`);
  print(`\nAn emulator that behaves like this account:\nstartEmulator(${JSON.stringify(emulator)})`);
}
