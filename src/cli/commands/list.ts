import { InvalidArgumentError } from 'commander';
import { OPEN_QUERY } from '../../contract/index.js';
import { newest } from '../../temporal/newest.js';
import { startsWith } from '../../temporal/runs.js';
import { openTemporal } from '../context.js';
import { checkQuery } from '../ended.js';
import { STATUS, UsageError } from '../errors.js';
import { collect, examples, since, wholeNumber, type Flags, type Register, type Texts } from '../options.js';
import { printJson, say } from '../output.js';
import { PAID_RUNS, paidRuns, type PaidRun } from '../paid-runs.js';
import { readLabels } from '../params.js';
import { notRead, unreadAmong } from '../records.js';
import { printRows, rowsOf } from '../rows.js';

type Options = Texts<'model' | 'since' | 'idPrefix' | 'query'> & Flags<'json'> & Parsed;
type Parsed = Readonly<{ status?: ReturnType<typeof statusOf>; label?: string[]; limit: number }>;

const STATUSES: Readonly<Record<string, string>> = {
  running: OPEN_QUERY,
  held: OPEN_QUERY,
  completed: "ExecutionStatus = 'Completed'",
  failed: "ExecutionStatus IN ('Failed', 'TimedOut')",
  cancelled: "ExecutionStatus = 'Canceled'",
  terminated: "ExecutionStatus = 'Terminated'",
};
const STATUS_WORDS = `${Object.keys(STATUSES).join(', ')} or held:<code>`;

export const register: Register = (command) => {
  command
    .option('--status <status>', `only ${STATUS_WORDS}; held ones are running too`, statusOf)
    .option('--model <id>', 'only of this model')
    .option('--label <name=value>', 'only with this label; repeatable', collect)
    .option('--since <date|duration>', 'only those that started since, for example 2026-11-01 or 7d', since)
    .option('--id-prefix <start>', 'only Workflow IDs that begin so, for example those of the steps of film-1: film-1/')
    .option('--query <visibility query>', 'only what this finds in Temporal')
    // One page of a terminal; above 1,000 the Temporal UI is the better list.
    .option('--limit <n>', 'how many', wholeNumber(1, 1_000), 20)
    .addHelpText('after', examples('list --status held', 'list --since 7d --model sora-2 --limit 100 --json'));
  return list;
};

async function list(options: Options): Promise<number> {
  const { status, since: from, idPrefix, query, json } = options;
  if (query?.trim() === '') throw new UsageError('--query: is empty.');
  const seen: PaidRun[] = [];
  const fits = matcherOf(options);
  const matches = (run: PaidRun): boolean => {
    seen.push(run);
    return fits(run);
  };
  const { client } = await openTemporal();
  if (query !== undefined) await checkQuery(client, query);
  const given = [from && `StartTime >= '${from}'`, idPrefix && startsWith(idPrefix), query && `(${query})`];
  const conditions = [PAID_RUNS, ...given.filter(Boolean)].join(' AND ');
  const states = status === undefined ? [OPEN_QUERY, `NOT ${OPEN_QUERY}`] : [status.query];
  const lists = states.map((state) => paidRuns(client, `${conditions} AND ${state}`));
  const rows = await rowsOf(client, await newest(lists, matches, options.limit));
  const unread = unreadAmong(seen);
  if (json) printJson({ generations: rows, unread });
  else if (rows.length > 0) printRows(rows, 'WORKFLOW ID');
  else say('Nothing found. Start a generation with: rivya-temporal generate --model z-image --prompt "…"');
  if (unread.length === 0) return STATUS.done;
  say(notRead(unread, 'What their memos say is missing here.'));
  return STATUS.unread;
}

/** True for what the memo of a run must say. Attributes for it may not be registered, and memos are always there. */
function matcherOf({ status, model, label = [], idPrefix = '' }: Options): (run: PaidRun) => boolean {
  const labels = Object.entries(readLabels(label) ?? {});
  return ({ workflowId, paid }) => {
    const { code } = paid?.hold ?? {};
    return (
      workflowId.startsWith(idPrefix) &&
      (status?.held !== true || (code !== undefined && code === (status.code ?? code))) &&
      (model === undefined || model === paid?.model) &&
      labels.every(([name, value]) => paid?.labels?.[name] === value)
    );
  };
}

/** Parses `--status`. */
function statusOf(text: string) {
  const [, word = text, code] = /^(held):(.+)$/s.exec(text) ?? [];
  const query = STATUSES[word];
  if (query === undefined) throw new InvalidArgumentError(`It must be ${STATUS_WORDS}.`);
  return { query, held: word === 'held', code };
}
