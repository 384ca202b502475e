/** The words about the account: for its page in the Temporal UI, for the command, and for its requests. */
import { errorCodeRow, RATE_LIMITED, STOPPED } from '../contract/index.js';
import type { AccountLook, AccountRequests, AccountState, CallCounts } from '../contract/index.js';
import { meaningOf } from './account-causes.js';
import { formatDuration, MINUTE } from './duration.js';
import { manyFail } from './reports.js';

/** The descriptions of query, Signal and requests in the Temporal UI. */
export const ACCOUNT_TEXTS: Readonly<Record<keyof AccountRequests | 'query' | 'report', string>> = {
  query: 'State: rate, causes that hold generations, answers 429, Workers, queues, balance.',
  report: 'A Worker tells of itself, of answers 429 and of refusals that all share. Not for people.',
  stopSubmits:
    'No Worker submits a new generation any more; checks and results go on: {"reason": "…"}, or no argument.',
  allowSubmits: 'Ends stopSubmits. Those that are held go on by themselves. No argument.',
  setRate:
    'Sets the rate for all Workers: {"perMinute": 120, "reason": "…"}, 1 to 100,000. {"perMinute": null} gives it back to the account.',
  release: `Ends a cause by hand: {"code": "insufficient_credits"}. {"code": "${RATE_LIMITED}"} opens a queue that is closed after answers 429.`,
  refresh: 'Looks at queues and holds, and asks the API for the balance. No argument.',
};

/** The answer of `refresh`, once it is done. */
export function refreshedText({ look, balance }: AccountState, isWhole: boolean): string {
  const parts = [`${heldText(look)}, ${look?.running ?? 0} running, ${look?.backlog ?? 0} calls wait`];
  if (balance !== null) parts.push(`balance ${balanceText(balance)}`);
  if (!isWhole) parts.push('not all is known yet: the page shows the rest when it is there');
  return `${parts.join('; ')}.`;
}

/** The sentences that tell an operator what to do now; empty where all is well. */
export function accountAdvice(state: AccountState): string[] {
  const { causes, look, rate, rateLimited } = state;
  const said = causes.map(({ code, phase, message }) => {
    if (phase === 'releasing') return `${code} is over: those that it holds are being resumed. Nothing to do.`;
    if (code === STOPPED) return `Submits are stopped (${message}). ${errorCodeRow(code, null).action}`;
    return `${meaningOf(code)} ${withoutResume(errorCodeRow(code, null).action)} It is noticed within a minute, and those that are held go on by themselves.`;
  });
  const prints = fingerprintsOf(state);
  if (prints.length > 1) {
    said.push(
      `The Workers use ${prints.length} API keys (${prints.join(', ')}). One queue has one limit and one account: give all Workers the same key.`,
    );
  }
  const told = new Set(Object.values(state.workers).map(({ perMinute }) => perMinute));
  if (told.size > 1) {
    said.push(
      `The Workers were told different limits (${[...told].toSorted((a, b) => a - b).join(', ')} calls a minute), and the lowest counts. Set RIVYA_RATE_LIMIT_PER_MINUTE to the same number everywhere.`,
    );
  }
  for (const [role, pollers] of Object.entries(look?.pollers ?? {})) {
    if (pollers.length > 0) continue;
    said.push(`No Worker has the role "${role}", so nothing goes on there. Start one: rivya-temporal worker`);
  }
  if (rateLimited.byOthers) {
    said.push(
      `The API answers 429 well below our own limit: somebody else uses this key, or its limit is below ${rate.configured ?? 'RIVYA_RATE_LIMIT_PER_MINUTE'} a minute. Find out, or lower RIVYA_RATE_LIMIT_PER_MINUTE.`,
    );
  }
  const { by, set, configured } = rate;
  const giveBack = 'It stays until it is given back: rivya-temporal account set-rate default';
  if (by === 'person' && set === 0) said.push(`A person has set the rate to 0, so no call is made. ${giveBack}`);
  if (by === 'person' && set !== null && configured !== null && set > configured) {
    said.push(
      `A person has set ${set} calls a minute, and the Workers were told ${configured}: the API may refuse calls. ${giveBack}`,
    );
  }
  if (manyFail(callsOf(state))) {
    said.push(
      'Many calls to the API fail: no answer, or one of status 500 and above. Each is repeated, and nothing is paid twice. The logs of the Workers say how they fail; look whether the network and the API are well.',
    );
  }
  if (look !== null && look.heldBy === null) {
    said.push(
      'This namespace has no search attributes, so nobody can be found and released: each held generation tries again by itself within an hour. Register them: rivya-temporal setup',
    );
  }
  return said;
}

/** The calls that wait and how long they take at the present rate, in milliseconds; null where the queue is closed. */
export function backlogMs({ look, rate }: Pick<AccountState, 'look' | 'rate'>): number | null {
  const perMinute = rate.closedUntil === null ? (rate.set ?? rate.configured ?? 0) : 0;
  return perMinute === 0 ? null : ((look?.backlog ?? 0) / perMinute) * MINUTE;
}

/** The account as Markdown, for the current details in the Temporal UI. */
export function describeAccount(state: AccountState): string {
  const { rate, rateLimited, look, balance, workers, causes, queue, updatedAt } = state;
  const advice = accountAdvice(state);
  const lines = [`**${headline(state)}**`, '', `The Rivya account behind task queue ${quoted(queue)}.`, ''];
  if (balance?.simulated === true) lines.push('*Simulated: the emulator answers, nothing is paid.*', '');
  lines.push(
    '**What to do now:**',
    '',
    ...(advice.length === 0 ? ['Nothing.'] : advice.map((one) => `- ${cell(one)}`)),
    '',
  );
  const long = backlogMs(state);
  const took = long === null ? '' : `, about ${formatDuration(long)}`;
  const set = rate.set === null ? '' : ` (set by ${rate.by === 'person' ? 'a person' : 'the account'})`;
  const at = look === null ? 'not looked at yet' : `at ${look.at}`;
  const rows: [string, string][] = [
    ['Balance', balance === null ? 'not asked yet' : `${balanceText(balance)} at ${balance.askedAt}`],
    ['Held', `${heldText(look)} ${at}`],
    ['Running', String(look?.running ?? 'not known')],
    ['Calls that wait', look === null ? 'not known' : `${look.backlog}${look.backlog === 0 ? '' : took}`],
    ['Calls a minute, configured', String(rate.configured ?? 'not known')],
    ['Calls a minute, now', `${rate.closedUntil === null ? (rate.set ?? rate.configured ?? 'not known') : 0}${set}`],
    ['Why', rate.reason],
    ['Queue closed until', rate.closedUntil ?? 'open'],
    ['Next rate step', rate.nextStepAt ?? 'none'],
    [
      'Answers 429 in the last hour',
      `${rateLimited.lastHour}${rateLimited.lastAt === null ? '' : `, the last at ${rateLimited.lastAt}`}`,
    ],
    ['Failed calls', callsText(state)],
    ['Last event', updatedAt],
  ];
  for (const { code: name, phase, since, message, nextProbeAt, credits } of causes) {
    const baseline = credits === null ? '' : `; balance ${credits}`;
    const next = nextProbeAt === null ? '' : `; asked again at ${nextProbeAt}`;
    rows.push([name, `${phase} since ${since}${baseline}${next}. ${message}`]);
  }
  const named = Object.entries(workers).map(([identity, { fingerprint, perMinute }]): [string, string] => [
    `Worker ${quoted(identity)}`,
    `key ${fingerprint ?? 'none'}, ${perMinute} calls a minute`,
  ]);
  lines.push(
    '| | |',
    '| --- | --- |',
    ...[...rows, ...named].map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`),
  );
  return lines.join('\n');
}

const NO_CALLS: CallCounts = { made: 0, failed: 0 };

/** The calls of all Workers, as each of them has reported last. */
function callsOf({ workers }: Pick<AccountState, 'workers'>): CallCounts {
  const all = Object.values(workers).map(({ calls }) => calls ?? NO_CALLS);
  return all.reduce((sum, one) => ({ made: sum.made + one.made, failed: sum.failed + one.failed }), NO_CALLS);
}

/** How many calls have failed, where a Worker has told of any. */
export function callsText({ workers }: Pick<AccountState, 'workers'>): string {
  const { made, failed } = callsOf({ workers });
  if (failed === 0) return 'few or none';
  const told = Object.values(workers).filter(({ calls }) => (calls?.failed ?? 0) > 0);
  const last = told
    .map(({ reportedAt }) => reportedAt)
    .toSorted()
    .at(-1);
  return `${failed} of ${made} (${Math.round((100 * failed) / made)} %) in the ten minutes before ${last}`;
}

/** Digests of the API keys that the Workers use, each once. */
export function fingerprintsOf({ workers }: Pick<AccountState, 'workers'>): string[] {
  const known = Object.values(workers).flatMap(({ fingerprint }) => (fingerprint === null ? [] : [fingerprint]));
  return [...new Set(known)].toSorted();
}

/** What has changed where this text has: the memo is written then. Numbers that move all the time are left out. */
export function substanceOf(state: AccountState): string {
  const { rate, causes, rateLimited, workers, look, balance } = state;
  const { configured, set, by, reason, closedUntil } = rate;
  return JSON.stringify([
    [configured, set, by, reason, closedUntil, rateLimited.byOthers],
    causes.map(({ code: name, phase, since, message, credits, fingerprint }) => [
      name,
      phase,
      since,
      message,
      credits,
      fingerprint,
    ]),
    Object.entries(workers).map(([identity, { fingerprint, perMinute, calls }]) => [
      identity,
      fingerprint,
      perMinute,
      calls && calls.failed > 0 && calls,
    ]),
    look && [
      look.heldBy && Object.keys(look.heldBy),
      Object.values(look.pollers).map(({ length }) => length > 0),
      look.setAtService,
    ],
    balance && balance.credits,
  ]);
}

function headline({ causes, rate }: AccountState): string {
  const open = causes.filter(({ phase }) => phase === 'open').map((cause) => cause.code);
  if (open.includes(STOPPED)) return 'Stopped by a person: no new generation is submitted.';
  if (open.length > 0) return `Held: no new generation is submitted (${open.join(', ')}).`;
  if (causes.length > 0) return 'Submits go on; those that were held are being resumed.';
  if (rate.closedUntil !== null) return `Closed until ${rate.closedUntil}: the API takes no calls.`;
  return rate.by === 'account' ? 'All goes on, at a lower rate.' : 'All goes on.';
}

function heldText(look: AccountLook | null): string {
  if (look === null) return 'not known';
  if (look.heldBy === null) return 'not known without the search attributes';
  const counts = Object.entries(look.heldBy).map(([name, count]) => `${count} by ${name}`);
  return counts.length === 0 ? 'none held' : `held: ${counts.join(', ')}`;
}

function balanceText({ credits }: NonNullable<AccountState['balance']>): string {
  return credits === null ? 'not told by the API' : `${credits} credits`;
}

/** The action of the table, for somebody who has nothing to resume by hand. */
export function withoutResume(action: string): string {
  return action.replace(/, then resume\.$/, '.');
}

// Words of people and of the API must not break list and table, or become markup.
function cell(text: string): string {
  return text
    .replaceAll(/\s+/g, ' ')
    .replaceAll('|', String.raw`\|`)
    .replaceAll('<', '&lt;');
}

function quoted(text: string): string {
  return `\`${text.replaceAll('`', "'")}\``;
}
