import { randomBytes } from 'node:crypto';
import { createRivyaClient } from '../../api/index.js';
import { readSettings } from '../../config.js';
import { confirmSpending, interruption } from '../terminal.js';
import { openApi } from '../context.js';
import { diagnose, workerHealth } from '../diagnosis.js';
import { STATUS, UsageError } from '../errors.js';
import type { Finding } from '../findings.js';
import { askAccount, assess, chooseModel } from '../live.js';
import { examples, wholeNumber, type Flags, type Register } from '../options.js';
import { printJson, printState, say } from '../output.js';

export const register: Register = (command) => {
  command
    .option('--worker', 'only whether the Workers of this machine poll; silent when they do (container health check)')
    .option('--live', 'ask the account whether a repeated submit is paid once: spends credits, after consent')
    .option('--max-credits <n>', 'with --live: spend at most so many (default 2)', wholeNumber(1, 1_000))
    .option('--yes', 'with --live: spend without asking')
    .addHelpText('after', examples('doctor', 'doctor --worker', 'doctor --live'))
    .addHelpText('after', LIVE_STATUS);
  return doctor;
};

type Options = Flags<'json' | 'worker' | 'live' | 'yes'> & { readonly maxCredits?: number };

const LIVE_STATUS = `
Exit status of --live: 0 a repeated submit is paid once; 1 it is not, another body made a task, or it is unknown;
2 no key, no consent, or the API refuses: nothing was paid; 3 the API cannot be reached: nothing was paid; 130 interrupted.`;

async function doctor(options: Options): Promise<number> {
  const { json = false, worker = false, live = false } = options;
  if (live && worker) throw new UsageError('--live and --worker do not go together. Nothing was sent.');
  if (live) return doctorLive(options);

  const findings: Finding[] = [];
  const show = worker ? say : printState;
  for await (const finding of worker ? workerHealth() : diagnose()) {
    findings.push(finding);
    if (!json && (!worker || finding.level !== 'ok')) show(lineOf(finding));
  }
  const statuses = failuresOf(findings);
  if (json) printJson({ ok: statuses.length === 0, findings });
  // A wrong setting may be why something cannot be reached, so it comes first.
  return statuses.includes(STATUS.usage) ? STATUS.usage : Math.max(STATUS.done, ...statuses);
}

function lineOf({ level, name, says }: Finding): string {
  return `${level.padEnd(5)} ${name}: ${says}`;
}

/** The exit status of each failure. */
function failuresOf(findings: readonly Finding[]): number[] {
  return findings.filter(({ level }) => level === 'fail').map(({ status = STATUS.failed }) => status);
}

/** Asks the account of the settings, after consent, what it does with a repeated submit. Returns the exit status. */
export async function doctorLive(
  { json = false, yes = false, maxCredits = 2 }: Options,
  { env = process.env, confirm = confirmSpending, interrupted = interruption() } = {},
): Promise<number> {
  const { keys, baseUrl } = readSettings(env);
  const key = await keys?.current();
  if (key == null) {
    const dev = (await openApi(env)).ofDev ? ' ("dev" needs none: it asks its emulator)' : '';
    throw new UsageError(
      `--live: there is no API key${dev}, so nothing was sent. Set RIVYA_API_KEY or RIVYA_API_KEY_FILE. To try it for nothing, start "rivya-temporal emulator" and set what it prints.`,
    );
  }
  // One and the same key from the first call to the last: another one may be another account.
  const current = () => Promise.resolve(key);
  const api = createRivyaClient({ baseUrl, keys: { current, refresh: current }, env });
  try {
    const { models, simulated } = await api.listModels();
    const model = chooseModel(models, maxCredits);
    const idempotencyKey = `rivya-temporal-doctor-${randomBytes(12).toString('hex')}`;
    // The key is on the screen before the first POST: nothing that is paid can get lost.
    say(`This asks ${baseUrl} with the API key of fingerprint ${key.fingerprint()}: a submit to ${model.id}, the same
again, and another body, all under the idempotency key ${idempotencyKey}.
It spends ${model.price} of your ${simulated ? 'simulated' : 'REAL'} credits where a repeated submit is paid once, and never more than ${2 * model.price}.`);
    const agreed = yes || (await confirm('Spend them? [y/N] ', 'Give --yes to spend.', interrupted));
    if (interrupted.aborted) return STATUS.interrupted;
    if (!agreed) throw new UsageError('Nothing was posted and nothing was spent.');

    const report = assess(await askAccount(api, { model, idempotencyKey }, interrupted));
    const statuses = failuresOf(report.findings);
    if (json) printJson({ ok: statuses.length === 0, baseUrl, fingerprint: key.fingerprint(), simulated, ...report });
    else for (const finding of report.findings) printState(lineOf(finding));
    return interrupted.aborted ? STATUS.interrupted : Math.max(STATUS.done, ...statuses);
  } finally {
    await api.close();
  }
}
