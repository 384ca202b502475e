import { examples, type Register } from '../options.js';
import { STATUS } from '../errors.js';
import { print, printJson, say } from '../output.js';
import { diagnose, workerHealth, type Finding } from '../diagnosis.js';

export const registerDoctor: Register = (program, run) => {
  program
    .command('doctor')
    .description('Check Node, settings, Temporal, Workers, API key, clock and store, and say what to do.')
    .option('--json', 'print one JSON document')
    .option('--worker', 'only whether the Workers of this machine poll; silent when they do (container health check)')
    .addHelpText('after', examples('doctor', 'doctor --worker'))
    .action((options: { json?: boolean; worker?: boolean }) => run(() => doctor(options)));
};

async function doctor({ json = false, worker = false }: { json?: boolean; worker?: boolean }): Promise<number> {
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
