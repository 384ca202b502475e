// What a database file costs the embedded server: jobs per second next to a server in memory, and next to a file with
// the server's own journal, which is how the file was kept before. Needs Linux.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { findServerBinary } from '../dist/src/temporal/embedded/find.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { JOBS, measure, median, ROUNDS, WARM_UP_JOBS } from './cost.mjs';
import { runJobs, startWorker, stopWorker, variantsOf, workerSettings } from './variants.mjs';

const MEMORY = 'in memory';
const BEFORE = 'file, as before';
const WAL = 'file, write-ahead log';

/** The Temporal CLI without the options of this package for the database. */
function withoutPragmas(binary, directory) {
  const script = `#!/bin/sh
for word; do
  shift
  case $word in --sqlite-pragma | journal_mode=* | synchronous=*) ;; *) set -- "$@" "$word" ;; esac
done
exec '${binary}' "$@"
`;
  const file = path.join(directory, 'temporal');
  writeFileSync(file, script);
  chmodSync(file, 0o755);
  return file;
}

export async function benchDatabase(log) {
  const directory = mkdtempSync(path.join(tmpdir(), 'rivya-bench-'));
  const limits = { credits: 1_000_000, rateLimitPerMinute: 1_000_000 };
  const emulator = await startEmulator({ durations: { image: 1 }, ...limits });
  const wrapper = withoutPragmas(await findServerBinary({ log }), directory);
  const options = {
    [MEMORY]: {},
    [BEFORE]: { dbFilename: path.join(directory, 'before.db'), env: { ...process.env, TEMPORAL_CLI_PATH: wrapper } },
    [WAL]: { dbFilename: path.join(directory, 'wal.db') },
  };
  const kinds = [];
  for (const [state, more] of Object.entries(options)) {
    const server = await startDevServer({ log, ui: false, port: 0, ...more });
    const { client } = await connectClient(server.address);
    const variant = variantsOf(client, directory)['this package, no store'];
    const worker = await startWorker(variant, workerSettings(server.address, emulator));
    await runJobs(emulator, variant, WARM_UP_JOBS);
    kinds.push({ state, server, client, variant, worker, rounds: [] });
  }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { server, client, variant, worker, rounds } of kinds) {
      rounds.push(await measure({ emulator, client, server }, variant, worker));
    }
  }
  for (const { worker, client, server } of kinds) {
    await stopWorker(worker);
    await client.connection.close();
    await server.stop();
  }
  await emulator.close();
  rmSync(directory, { recursive: true });

  const speed = ({ rounds }) => median(rounds.map(({ perSecond }) => perSecond));
  const of = (state) => speed(kinds.find((kind) => kind.state === state));
  const rows = kinds.map((kind) => ({
    state: kind.state,
    'jobs/s': speed(kind).toFixed(1),
    [`ratio to ${MEMORY}`]: (speed(kind) / of(MEMORY)).toFixed(2),
    [`ratio to ${BEFORE}`]: (speed(kind) / of(BEFORE)).toFixed(2),
    'server CPU ms a job': median(kind.rounds.map(({ serverMs }) => serverMs)).toFixed(1),
  }));
  console.log(`\nDatabase of the embedded server: ${JOBS} jobs that start at once; medians of ${ROUNDS} rounds`);
  console.table(rows);
  const ratios = [MEMORY, BEFORE, WAL].map((state) => (of(state) / of(MEMORY)).toFixed(2));
  console.log(`${MEMORY} : ${BEFORE} : ${WAL} = ${ratios.join(' : ')}`);
}
