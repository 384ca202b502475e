/** A run with a seed: generations with faults, in processes that are killed and started again; then the verdict. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { ACCOUNT_WORKFLOW_TYPE } from '../../src/contract/index.js';
import { until } from '../support/until.js';
import { Cluster } from './cluster.js';
import { runJob, type Outcome } from './jobs.js';
import { judge } from './judge.js';
import { employ, type Person } from './person.js';
import { planJob, planKill, planSwitches, type Hardness, type Job } from './plan.js';

export interface ChaosOptions extends Hardness {
  readonly seed: number;
  /** Logical generations. */
  readonly jobs: number;
  /** Mean time from the end of one kill to the next. */
  readonly killEveryMs: number;
  /** Default: until so many generations have ended that the rest shall end in peace. */
  readonly kills?: number;
  /** Generations that run at the same time. */
  readonly inFlight: number;
  readonly log?: (line: string) => void;
}

export interface ChaosResult {
  /** What must not be; empty after a good run. */
  readonly problems: readonly string[];
  /** What was counted, as a table of Markdown, and the problems. */
  readonly report: string;
}

/** The last ones shall end, not be killed for ever. */
const CALM_SHARE = 0.9;
/** When for so long no generation has ended, the rest never will: twice the longest delay between two tries. */
const STALLED_MS = 1_200_000;
const REPORT_MS = 30_000;

/** Runs it. A bad run keeps its directory: database, journal of the emulator, logs, files. */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed } = options;
  const startedAt = Date.now();
  const jobs = Array.from({ length: options.jobs }, (_, n) => planJob(seed, n, options));
  const directory = await mkdtemp(path.join(os.tmpdir(), 'rivya-chaos-'));
  const faults = jobs.flatMap((job) => job.faults);
  const cluster = await Cluster.start({ directory, faults, switches: (start) => planSwitches(seed, start) });
  try {
    const connection = await Connection.connect({ address: cluster.temporalAddress, connectTimeout: 30_000 });
    const client = new Client({ connection });
    const person = employ(client, () => cluster.ledger());
    const outcomes = await runAll(jobs, client, cluster, options);
    await person.leave();
    // The list of runs trails their ends by a moment. What still runs then, the verdict tells.
    const noneRuns = async (): Promise<boolean> =>
      (await client.workflow.count(`ExecutionStatus = 'Running' AND WorkflowType != '${ACCOUNT_WORKFLOW_TYPE}'`))
        .count === 0;
    await until(noneRuns, 60_000).catch(() => undefined);
    const { figures, problems } = await judge(outcomes, await cluster.ledger(), client);
    await connection.close();
    await cluster.stop();
    const table = markdown({ ...figures, ...circumstances(options, cluster, person, Date.now() - startedAt) });
    if (problems.length === 0) await rm(directory, { recursive: true });
    const where = `Seed ${seed}. All that is left of the run is in ${directory}`;
    return { problems, report: [table, ...(problems.length === 0 ? [] : ['', where, ...problems])].join('\n') };
  } finally {
    await cluster.stop();
  }
}

/** Runs all jobs, so many at a time, while processes are killed. Returns when every job has ended or none ends any more. */
async function runAll(
  jobs: readonly Job[],
  client: Client,
  cluster: Cluster,
  options: ChaosOptions,
): Promise<Outcome[]> {
  const { seed, long, inFlight, killEveryMs, kills = Infinity, log = () => undefined } = options;
  const startedAt = Date.now();
  const outcomes: Outcome[] = [];
  const say = (what: string): void => log(`${Math.round((Date.now() - startedAt) / 1_000)} s: ${what}`);

  const giveUp = new AbortController();
  const givenUp = new Promise<null>((resolve) => giveUp.signal.addEventListener('abort', () => resolve(null)));
  let lastEndAt = Date.now();
  const watch = setInterval(() => {
    say(`${outcomes.length} of ${jobs.length} have ended`);
    if (Date.now() - lastEndAt > STALLED_MS) giveUp.abort();
  }, REPORT_MS);

  const waiting = jobs.values();
  const runners = Array.from({ length: inFlight }, async () => {
    for (const job of waiting) {
      const ended = await Promise.race([runJob(job, client, giveUp.signal), givenUp]);
      outcomes.push(ended ?? { job, result: null, error: 'it has not ended' });
      lastEndAt = Date.now();
    }
  });
  const killing = (async (): Promise<void> => {
    for (let n = 0; n < kills; n++) {
      const { afterMs, victim } = planKill(seed, n, killEveryMs, long);
      await sleep(afterMs);
      if (outcomes.length >= jobs.length * CALM_SHARE || giveUp.signal.aborted) return;
      say(`SIGKILL ${victim}`);
      await cluster.kill(victim, client);
    }
  })();
  await Promise.all([...runners, killing]);
  clearInterval(watch);
  return outcomes;
}

/** How it was run. */
function circumstances(
  { seed, killEveryMs, inFlight, faults }: ChaosOptions,
  { kills, ended }: Cluster,
  { released }: Person,
  tookMs: number,
): Record<string, string> {
  const [cpu] = os.cpus();
  const list = (counts: Iterable<[string, number]>): string =>
    [...counts].flatMap(([what, times]) => (times > 0 ? `${times} × ${what}` : [])).join(', ') || 'none';
  return {
    'SIGKILL (SIGSTOP for a frozen Worker)': list(Object.entries(kills)),
    'Processes that ended by themselves': ended.join(', ') || 'none',
    'Holds that a person released': list(released),
    Duration: `${(tookMs / 60_000).toFixed(1)} min`,
    Machine: `${os.cpus().length} × ${cpu?.model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GB, Node ${process.version}`,
    Run: `seed ${seed}, a kill about every ${killEveryMs / 1_000} s, ${inFlight} generations at a time, ${faults} to ${3 * faults} faults at each submit`,
  };
}

function markdown(figures: Readonly<Record<string, string>>): string {
  const rows = [['what', 'how much'] as const, ['', ''] as const, ...Object.entries(figures)];
  const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) as [
    number,
    number,
  ];
  return rows
    .map(([what, much], index) => {
      const fill = index === 1 ? '-' : ' ';
      return `| ${what.padEnd(first, fill)} | ${much.padEnd(second, fill)} |`;
    })
    .join('\n');
}
