// A Worker that sends itself a signal at one step: node step-worker.mjs <before|after> <side effect> <which one> <signal>
import { runWorker } from '../../dist/worker.js';

const [when, what, which, signal] = process.argv.slice(2);
let seen = 0;
const status = await runWorker(process.env, undefined, (now, effect) => {
  if (now !== when || effect !== what) return;
  seen += 1;
  if (seen === Number(which)) process.kill(process.pid, signal);
});
process.exit(status);
