import { randomBytes } from 'node:crypto';
import { createRivyaClient } from '../../api/index.js';
import { readSettings } from '../../config.js';
import { confirmSpending } from '../confirm.js';
import { openApi } from '../context.js';
import { diagnose, workerHealth, type Finding } from '../diagnosis.js';
import { STATUS, UsageError } from '../errors.js';
import { assess } from '../live-report.js';
import { askAccount, chooseModel } from '../live.js';
import { examples, wholeNumber, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { interruption } from '../signals.js';

export const registerDoctor: Register = (program, run) => {
  program
    .command('doctor')
    .description('Check Node, settings, Temporal, Workers, API key, clock and store, and say what to do.')
    .option('--json', 'print one JSON document')
    .option('--worker', 'only whether the Workers of this machine poll; silent when they do (container health check)')
    .option(
      '--live',
      'ask the account of the API key whether a repeated submit is paid once: spends credits, after consent',
    )
    .option('--max-credits <n>', 'with --live: spend at most so many (default 2)', wholeNumber(1, 1_000))
    .option('--yes', 'with --live: spend without asking')
    .addHelpText('after', examples('doctor', 'doctor --worker', 'doctor --live'))
    .addHelpText('after', LIVE_STATUS)
    .action((options: Options) => run(() => doctor(options)));
};

interface Options {
  readonly json?: boolean;
  readonly worker?: boolean;
  readonly live?: boolean;
  readonly yes?: boolean;
  readonly maxCredits?: number;
}

const LIVE_STATUS = `
Exit status of --live: 0 a repeated submit is paid once; 1 it is not, another body made a task, or it could not be told;
2 no key, no consent, or the API refuses: nothing was paid; 3 the API cannot be reached: nothing was paid; 130 interrupted.`;

async function doctor(options: Options): Promise<number> {
  const { json = false, worker = false, live = false, yes, maxCredits } = options;
  if (live && worker) throw new UsageError('--live and --worker do not go together. Nothing was sent.');
  if (live) return doctorLive(options);
  const forLive = { '--yes': yes, '--max-credits': maxCredits };
  const [stray] = Object.entries(forLive).find(([, given]) => given !== undefined) ?? [];
  if (stray !== undefined) throw new UsageError(`${stray} is for --live. Nothing was sent.`);

  const findings: Finding[] = [];
  for await (const finding of worker ? workerHealth() : diagnose()) {
    findings.push(finding);
    if (json || (worker && finding.level === 'ok')) continue;
    (worker ? say : print)(lineOf(finding));
  }
  const statuses = failuresOf(findings);
  if (json) printJson({ ok: statuses.length === 0, findings });
  // A wrong setting may be why something cannot be reached, so it comes first.
  return statuses.includes(STATUS.usage) ? STATUS.usage : Math.max(STATUS.done, ...statuses);
}

function lineOf({ level, name, says }: Finding): string {
  return `${level.padEnd(5)} ${name}: ${says}`;
}

/** Exit statuses that the failures ask for. */
function failuresOf(findings: readonly Finding[]): number[] {
  return findings.filter(({ level }) => level === 'fail').map(({ status = STATUS.failed }) => status);
}

/** Asks the account of the settings what it does with a repeated submit, after consent. */
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
    else for (const finding of report.findings) print(lineOf(finding));
    return interrupted.aborted ? STATUS.interrupted : Math.max(STATUS.done, ...statuses);
  } finally {
    await api.close();
  }
}
