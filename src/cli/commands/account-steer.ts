import {
  accountWorkflowId,
  apiTaskQueue,
  RATE_LIMITED,
  SHARED_CODES,
  type AccountRequests,
} from '../../contract/index.js';
import { ACCOUNT_REQUESTS, MOST_PER_MINUTE } from '../../policy/index.js';
import { lookAtAccount, noAccount, requestOf } from '../account-handle.js';
import { standsStill } from '../account-page.js';
import { advice } from '../advice.js';
import { openTemporal } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, type Flags, type Register, type Texts } from '../options.js';
import { print, printJson, quoted, say } from '../output.js';

type Options = Texts<'reason'> & Flags<'json'>;

const SENT = 'No Worker answers, so it waits as a Signal until one does.';
const REASON = ['--reason <text>', 'stands on the page of the account, for others'] as const;

/** `account stop`, `allow`, `set-rate`, `release` and `refresh`. */
export const register: Register = (command) => {
  const name = command.name() as keyof typeof ACTS;
  if (name === 'stop' || name === 'set-rate') command.option(...REASON);
  command.addHelpText('after', examples(...EXAMPLES[name]));
  return ACTS[name];
};

const EXAMPLES = {
  stop: ['account stop --reason "the campaign is over"'],
  allow: ['account allow'],
  'set-rate': ['account set-rate 30 --reason "the other team needs the key today"', 'account set-rate default'],
  release: ['account release insufficient_credits', 'account release rate_limited'],
  refresh: ['account refresh'],
} as const;

const ACTS = {
  stop: (options: Options) => send('stopSubmits', options, withReason(options)),
  allow: (options: Options) => send('allowSubmits', options),
  'set-rate': (options: Options, rate = '') =>
    send('setRate', options, { perMinute: rateOf(rate), ...withReason(options) }),
  release,
  refresh: (options: Options) => send('refresh', options),
};

async function release(options: Options, code = ''): Promise<number> {
  if (!SHARED_CODES.includes(code) && code !== RATE_LIMITED) {
    throw new UsageError(
      `code: must be one of ${[...SHARED_CODES, RATE_LIMITED].join(', ')}, not "${code}". Nothing was sent.`,
    );
  }
  return send('release', options, { code });
}

function withReason({ reason }: Options): { readonly reason?: string } {
  if (reason?.trim() === '') throw new UsageError('--reason: is empty. Nothing was sent.');
  return reason === undefined ? {} : { reason };
}

/** Calls a minute; null for `default`. */
function rateOf(text: string): number | null {
  if (text === 'default') return null;
  const perMinute = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (perMinute >= 1 && perMinute <= MOST_PER_MINUTE) return perMinute;
  const stop = perMinute === 0 ? ' To stop new submits: rivya-temporal account stop.' : '';
  throw new UsageError(
    `rate: must be a whole number of calls a minute from 1 to ${MOST_PER_MINUTE}, or "default", not "${text}".${stop} Nothing was sent.`,
  );
}

/** What a request does that waits as a Signal because the account stands still. */
function unheard(problem: string, name: keyof AccountRequests, taskQueue: string): string {
  const waits = `${standsStill(problem)} This waits as a Signal until it goes on.`;
  if (name !== 'stopSubmits') return waits;
  const rate = `temporal task-queue config set --task-queue ${quoted(apiTaskQueue(taskQueue))} --task-queue-type activity`;
  return `${waits} NOTHING IS STOPPED YET. To stop all calls now, status checks too: ${rate} --queue-rps-limit 0 --queue-rps-limit-reason stop`;
}

async function send<Name extends keyof AccountRequests>(
  name: Name,
  { json = false }: Options,
  argument?: AccountRequests[Name],
): Promise<number> {
  // Where it waits as a Signal, nobody is told that it is wrong.
  ACCOUNT_REQUESTS[name](argument);
  const temporal = await openTemporal();
  const seen = await lookAtAccount(temporal);
  if (seen === null && name !== 'stopSubmits') throw noAccount(temporal.taskQueue);
  const answer = await requestOf(temporal, name, argument);
  const workflowId = accountWorkflowId(temporal.taskQueue);
  if (json) printJson({ workflowId, request: name, applied: answer !== null, answer });
  else if (answer !== null) print(advice(answer));
  if (answer === null) say(seen?.problem == null ? SENT : unheard(seen.problem, name, temporal.taskQueue));
  return STATUS.done;
}
