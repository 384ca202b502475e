import { STATUS, UsageError } from '../errors.js';
import { doctorLive, type LiveOptions } from '../live/live.js';
import { examples, wholeNumber, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { diagnose, workerHealth, type Finding } from '../diagnosis.js';

export const registerDoctor: Register = (program, run) => {
  program
    .command('doctor')
    .description('Check Node, settings, Temporal, Workers, API key, clock and store, and say what to do.')
    .option('--json', 'print one JSON document')
    .option('--worker', 'only whether the Workers of this machine poll; silent when they do (container health check)')
    .option('--live', 'ask the account of the API key how it behaves: spends credits, after consent')
    .option('--max-credits <n>', 'with --live: spend at most so many (default 2)', wholeNumber(1, 1_000))
    .option('--record <file>', 'with --live: write the redacted traffic to a new file')
    .option('--yes', 'with --live: spend without asking')
    .addHelpText('after', examples('doctor', 'doctor --worker', 'doctor --live', 'doctor --live --record account.json'))
    .addHelpText('after', LIVE_STATUS)
    .action((options: Options) => run(() => doctor(options)));
};

interface Options extends LiveOptions {
  readonly worker?: boolean;
  readonly live?: boolean;
}

const LIVE_STATUS = `
Exit status of --live: 0 a replay charges once; 1 it does not, another body made a task, or it could not be told; 2 no
key, no consent, or the API refuses: nothing was paid; 3 the API cannot be reached: nothing was paid; 130 interrupted.`;

async function doctor(options: Options): Promise<number> {
  const { json = false, worker = false, live = false, record, yes, maxCredits } = options;
  if (live && worker) throw new UsageError('--live and --worker do not go together. Nothing was sent.');
  if (live) return doctorLive(options);
  const forLive = { '--record': record, '--yes': yes, '--max-credits': maxCredits };
  const [stray] = Object.entries(forLive).find(([, given]) => given !== undefined) ?? [];
  if (stray !== undefined) throw new UsageError(`${stray} is for --live. Nothing was sent.`);

  const findings: Finding[] = [];
  for await (const finding of worker ? workerHealth() : diagnose()) {
    findings.push(finding);
    if (json || (worker && finding.level === 'ok')) continue;
    const line = `${finding.level.padEnd(5)} ${finding.name}: ${finding.says}`;
    if (worker) say(line);
    else print(line);
  }
  const failed = findings.filter(({ level }) => level === 'fail');
  if (json) printJson({ ok: failed.length === 0, findings });
  const statuses = failed.map(({ status = STATUS.failed }) => status);
  // A wrong setting may be why something cannot be reached, so it comes first.
  return statuses.includes(STATUS.usage) ? STATUS.usage : Math.max(STATUS.done, ...statuses);
}
