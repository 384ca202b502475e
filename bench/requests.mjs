// What is asked of Temporal until the first POST of a first run leaves.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { freePort } from '../dist/src/temporal/embedded/ready.js';
import { runJobs, startWorker, stopWorker } from './variants.mjs';

// So long the POST waits for its answer: what was sent before it is counted by then, and nothing that comes after.
const POST_MS = 2_000;

/** A client that notes the names of its requests. */
export async function spiedClient(address) {
  const requests = [];
  const note = (options, next) => {
    requests.push(options.method_definition.path.split('/').at(-1));
    return next(options);
  };
  const connection = await Connection.connect({ address, interceptors: [note] });
  return { requests, client: new Client({ connection }) };
}

/** Requests of a Worker process so far, heartbeats of the SDK included, as it counts them itself; polls are no part. */
export async function workerRequests(metricsAddress) {
  const text = await (await fetch(`http://${metricsAddress}/metrics`)).text();
  const counts = new Map();
  for (const [, labels, count] of text.matchAll(/^temporal_request\{(.*)\} (\d+)$/gm)) {
    const [, name] = /operation="(\w+)"/.exec(labels);
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

function row(job, from, names) {
  const count = (name) => names.filter((other) => other === name).length;
  const list = [...new Set(names)].map((name) => (count(name) === 1 ? name : `${count(name)} ${name}`));
  return { job, from, requests: names.length, names: list.join(', ') };
}

export async function benchRequests({ emulator, requests, env, variants }) {
  const rows = [];
  for (const [job, variant] of Object.entries(variants)) {
    const metricsAddress = `127.0.0.1:${await freePort()}`;
    const worker = await startWorker(variant, env, metricsAddress);
    // Not those of a process that has just begun.
    await runJobs(emulator, variant, 1);
    emulator.reset();
    emulator.setFaults([{ on: 'create', do: { kind: 'delayAfter', ms: POST_MS } }]);
    const before = await workerRequests(metricsAddress);
    requests.length = 0;
    const handle = await variant.start({ model: 'z-image', prompt: 'bench' });
    rows.push(row(job, 'client, to start it', [...requests]));
    while (!emulator.requests().some(({ method }) => method === 'POST')) await sleep(10);
    await sleep(POST_MS / 4);
    const after = await workerRequests(metricsAddress);
    const made = [...after].flatMap(([name, count]) => Array(count - (before.get(name) ?? 0)).fill(name));
    rows.push(row(job, 'Worker, until the POST', made));
    await handle.result();
    await stopWorker(worker);
  }
  console.log('\nRequests to Temporal until the first POST of a first run');
  console.table(rows);
}
