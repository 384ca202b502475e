import { setTimeout as sleep } from 'node:timers/promises';
import { apiTaskQueue } from '../../contract/index.js';
import { workflowLink } from '../../temporal/links.js';
import { lookAtAccount, noAccount, type SeenAccount } from '../account-handle.js';
import { adviceOf, causeRows, factsOf, lineOf, openCauses, titleOf, workerRows, wordOf } from '../account-page.js';
import { advice } from '../advice.js';
import { openTemporal, type Temporal } from '../context.js';
import { AnswerMissing, STATUS, UsageError } from '../errors.js';
import { examples, type Flags, type Register } from '../options.js';
import { print, printFacts, printJson, printTable, Progress } from '../output.js';
import { interruption } from '../terminal.js';

// A dozen calls to the Service each time.
const LOOK_EVERY_MS = 5_000;

export const register: Register = (command) => {
  command
    .option('--watch', 'show how it goes until Ctrl-C')
    .addHelpText('after', examples('account', 'account --watch'))
    .addHelpText(
      'after',
      '\nExit status: 0; 4 where a cause is open, submits are stopped or the account stands still, so a person must act.',
    );
  return show;
};

async function show({ json = false, watch = false }: Flags<'json' | 'watch'>): Promise<number> {
  const temporal = await openTemporal();
  const seen = watch ? await watched(temporal) : await lookAtAccount(temporal);
  if (seen === null) throw noAccount(temporal.taskQueue);
  const link = workflowLink(temporal, seen.workflowId);
  if (json) {
    const { workflowId, state, isFresh, isRunning, problem, look } = seen;
    const whatToDo = adviceOf(seen).map((line) => advice(line));
    printJson({ workflowId, status: wordOf(seen), isRunning, problem, isFresh, state, look, whatToDo, link });
  } else {
    const facts = factsOf(seen, Date.now()).map(([name, value]) => {
      return [name, typeof value === 'string' ? advice(value) : value] as const;
    });
    printFacts(titleOf(seen, temporal.taskQueue), [...facts, ['Temporal', link]]);
    for (const rows of [causeRows(seen), workerRows(seen)]) {
      if (rows.length === 0) continue;
      print('');
      printTable(rows, '  ');
    }
  }
  return openCauses(seen.state).length === 0 && seen.problem === null ? STATUS.done : STATUS.held;
}

/** @throws AnswerMissing where Temporal gives no answer any more. */
async function watched(temporal: Temporal): Promise<SeenAccount | null> {
  const interrupted = interruption();
  const progress = new Progress();
  let last: SeenAccount | null = null;
  while (!interrupted.aborted) {
    try {
      last = await lookAtAccount(temporal);
    } catch (error) {
      if (interrupted.aborted || error instanceof UsageError) throw error;
      throw new AnswerMissing('rivya-temporal account --watch', error as Error);
    }
    if (last === null) return null;
    const line = lineOf(last, apiTaskQueue(temporal.taskQueue));
    progress.set('', line, line);
    await sleep(LOOK_EVERY_MS, undefined, { signal: interrupted }).catch(() => undefined);
  }
  return last;
}
