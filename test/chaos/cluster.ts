/** The processes of a run: a Temporal server, an emulator and Workers, each of which can be killed at any time. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { accountWorkflowId, DEFAULT_TASK_QUEUE } from '../../src/contract/index.js';
import { EMULATOR_API_KEY, type EmulatorSwitches, type Fault, type Ledger } from '../../src/emulator/index.js';
import { freePort } from '../../src/temporal/embedded/ready.js';
import { startDevServer, type EmbeddedServer } from '../../src/temporal/embedded/server.js';
import { until } from '../support/until.js';
import type { Victim } from './plan.js';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
/** Two, so that one can take over from the other. */
const WORKERS = 2;
/** Longer than the heartbeat time limit of 15 s: its attempts are given to others, and then it wakes up. */
const FROZEN_MS = 25_000;
/** Long enough that a Worker has read of it. */
const STOPPED_MS = 12_000;
/** A process that starts on a busy machine. */
const READY_MS = 120_000;

export interface ClusterOptions {
  readonly directory: string;
  readonly faults: readonly Fault[];
  readonly switches: (start: number) => Partial<EmulatorSwitches>;
}

export class Cluster {
  /** What was killed, and how often. */
  readonly kills: Record<Victim, number> = {
    worker: 0,
    'all workers': 0,
    emulator: 0,
    temporal: 0,
    'frozen worker': 0,
    account: 0,
  };
  /** Processes that ended although nobody killed them; each was started again. */
  readonly ended: string[] = [];
  readonly store: string;
  readonly #options: ClusterOptions;
  readonly #ports: { readonly temporal: number; readonly emulator: number };
  #temporal: EmbeddedServer | null = null;
  #emulator: ChildProcess | null = null;
  #emulatorStarts = 0;
  readonly #workers = new Set<ChildProcess>();
  #stopping = false;

  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options, { temporal: await freePort(), emulator: await freePort() });
    await mkdir(cluster.store);
    writeFileSync(path.join(options.directory, 'faults.json'), JSON.stringify(options.faults));
    await Promise.all([cluster.#startTemporal(), cluster.#startEmulator()]);
    for (let n = 0; n < WORKERS; n++) cluster.#startWorker();
    return cluster;
  }

  private constructor(options: ClusterOptions, ports: { temporal: number; emulator: number }) {
    this.#options = options;
    this.#ports = ports;
    this.store = path.join(options.directory, 'store');
    process.once('exit', () => this.#killChildren());
  }

  get temporalAddress(): string {
    return `127.0.0.1:${this.#ports.temporal}`;
  }

  get #emulatorUrl(): string {
    return `http://127.0.0.1:${this.#ports.emulator}`;
  }

  async ledger(): Promise<Ledger> {
    const response = await fetch(`${this.#emulatorUrl}/__admin/ledger`);
    return (await response.json()) as Ledger;
  }

  /** Kills with SIGKILL and starts anew at once. Returns when it serves again, or for Workers when it is on its way. */
  async kill(victim: Victim, client: Client): Promise<void> {
    this.kills[victim] += 1;
    const [worker] = this.#workers;
    if (victim === 'temporal') {
      if (this.#temporal !== null) process.kill(this.#temporal.pid, 'SIGKILL');
      await this.#temporal?.stop();
      await this.#startTemporal();
    } else if (victim === 'emulator') {
      await end(this.#emulator);
      await this.#startEmulator();
    } else if (victim === 'account') {
      // Submits are stopped, and then nobody knows who has done it; the next account takes that over.
      const account = client.workflow.getHandle(accountWorkflowId(DEFAULT_TASK_QUEUE));
      const isThere = (request: Promise<unknown>): Promise<boolean> =>
        request.then(
          () => true,
          () => false,
        );
      await until(() => isThere(account.signal('stopSubmits', { reason: 'chaos' })), READY_MS);
      await sleep(STOPPED_MS);
      await until(() => isThere(account.terminate('chaos')), READY_MS);
      await until(() => isThere(account.signal('allowSubmits')), READY_MS);
    } else if (victim === 'frozen worker') {
      if (worker !== undefined) this.#freeze(worker);
    } else {
      const victims = victim === 'worker' && worker !== undefined ? [worker] : [...this.#workers];
      await Promise.all(
        victims.map((one) => {
          this.#workers.delete(one);
          return end(one);
        }),
      );
      for (const _ of victims) this.#startWorker();
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([this.#emulator, ...this.#workers].map(end));
    await this.#temporal?.stop();
  }

  async #startTemporal(): Promise<void> {
    const { directory } = this.#options;
    const dbFilename = path.join(directory, 'temporal.db');
    for (;;) {
      const log = (): void => undefined;
      const options = { log, ui: false, dbFilename, port: this.#ports.temporal, readyTimeoutMs: READY_MS };
      this.#temporal = await startDevServer(options);
      if (this.#temporal.address === this.temporalAddress) return;
      // Another process had the port for a moment, so ours took another one, where nobody looks.
      await this.#temporal.stop();
      await sleep(200);
    }
  }

  async #startEmulator(): Promise<void> {
    const { directory, switches } = this.#options;
    const settings = Object.entries(switches(this.#emulatorStarts++)).map(([name, value]) => `${name}=${value}`);
    this.#emulator = this.#spawn('emulator', [
      path.join(DIST, 'src/cli/main.js'),
      'emulator',
      `--port=${this.#ports.emulator}`,
      `--state-file=${path.join(directory, 'emulator.journal')}`,
      '--credits=1000000000',
      '--rate-limit=1000000',
      `--faults=@${path.join(directory, 'faults.json')}`,
      ...settings.map((setting) => `--switch=${setting}`),
    ]);
    this.#restartWhenEnded('emulator', this.#emulator, () => this.#startEmulator());
    await until(
      () =>
        fetch(`${this.#emulatorUrl}/api/v1/models`).then(
          ({ ok }) => ok,
          () => false,
        ),
      READY_MS,
    );
  }

  #startWorker(): void {
    const worker = this.#spawn('worker', [path.join(DIST, 'worker.js')], {
      TEMPORAL_ADDRESS: this.temporalAddress,
      RIVYA_API_KEY: EMULATOR_API_KEY,
      RIVYA_BASE_URL: this.#emulatorUrl,
      // As much as the setting takes: the machine is the limit.
      RIVYA_RATE_LIMIT_PER_MINUTE: '100000',
      RIVYA_STORE: `file:${this.store}`,
      RIVYA_TRUSTED_RESULT_HOSTS: new URL(this.#emulatorUrl).host,
    });
    this.#workers.add(worker);
    this.#restartWhenEnded('worker', worker, () => {
      if (this.#workers.delete(worker)) this.#startWorker();
    });
  }

  /** Its attempts run out and are given to another Worker; then it wakes up and goes on where it was. */
  #freeze(worker: ChildProcess): void {
    // The next kills take the others, so that it lives to wake up.
    this.#workers.delete(worker);
    this.#workers.add(worker);
    worker.kill('SIGSTOP');
    setTimeout(() => worker.kill('SIGCONT'), FROZEN_MS).unref();
  }

  /** What ends by itself is started again, as whatever runs services does. */
  #restartWhenEnded(name: string, child: ChildProcess, restart: () => unknown): void {
    child.once('exit', (code, signal) => {
      if (this.#stopping || signal === 'SIGKILL' || code === 0) return;
      this.ended.push(`${name}: ${signal ?? `status ${code}`}`);
      setTimeout(() => void (this.#stopping || restart()), 500);
    });
  }

  #spawn(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const log = openSync(path.join(this.#options.directory, `${name}.log`), 'a');
    const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }

  #killChildren(): void {
    for (const child of [this.#emulator, ...this.#workers]) child?.kill('SIGKILL');
  }
}

/** Kills a process and waits until it is gone. */
async function end(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
