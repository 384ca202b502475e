// npm run sabotage [-- <name>... | -- --part <n>/<of>]: do the tests notice? Each sabotage is applied to a copy of the working
// tree, where the test that it names must turn red. Before that, all these tests must be green without any. A part is every
// <of>th sabotage, from the <n>th on; that all fit and compile is checked all the same.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SABOTAGES } from './sabotages.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
// What is made from the sources, or is no part of them. Git is not asked: an unpacked archive has none.
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'output', '.tmp', 'secrets']);
// The tests mostly wait, so four at a time keep two cores busy.
const LANES = 4;
// Long after a test has reached its own limit (60 s) and its Workers have given up (80 s).
const LIMIT_MS = 240_000;
// All tests at once, on a busy machine.
const GREEN_LIMIT_MS = 600_000;
// What a test fails with that has found what it looks for: an assertion, a generation or a Workflow that did not come out
// as promised, or a wait or a whole test beyond its limit. Anything else is broken code.
const RED =
  /^(AssertionError|GenerationError|WorkflowFailedError|Error: (Property failed|Still not true|Test timed out))/;

const place = mkdtempSync(path.join(tmpdir(), 'rivya-sabotage-'));
const running = new Set();
process.on('exit', () => {
  for (const pid of running) endGroup(pid);
  rmSync(place, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

// Each run starts a Temporal server of its own (1 s): what a sabotage lets loose on it must disturb no other.
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(RIVYA|TEMPORAL|VITEST)_/.test(name) || /^(TEMPORAL_CLI_PATH|RIVYA_NO_DOWNLOAD)$/.test(name),
  ),
);

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** Runs a Node program and ends whatever it leaves behind. */
function run(cwd, limitMs, ...args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child.pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid);
    }, limitMs);
    child.on('exit', () => endGroup(child.pid));
    child.on('close', (status) => {
      clearTimeout(timer);
      running.delete(child.pid);
      resolve({ status, output, late });
    });
  });
}

/** Runs these tests and no others, and tells what ran, or why that is not known. */
async function runTests(cwd, limitMs, tests) {
  const files = [...new Set(tests.map(({ file }) => file))];
  const names = tests.map(({ name }) => name.replaceAll(' > ', ' ').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const pattern = `^\\s*(${names.join('|')})$`;
  const config = ['--config', 'test/sabotage/vitest.config.ts'];
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...config, '--testNamePattern', pattern, ...files];
  const { output, late } = await run(cwd, limitMs, ...vitest);
  const report = path.join(cwd, 'report.json');
  if (late) return { problem: `the tests did not end within ${limitMs / 1_000} s:\n${output}` };
  if (!existsSync(report)) return { problem: `no test ran:\n${output}` };
  return JSON.parse(readFileSync(report, 'utf8'));
}

function copyTo(name, from) {
  const copy = path.join(place, name);
  cpSync(from, copy, {
    recursive: true,
    filter: (source) => !LEFT_OUT.has(path.relative(from, source)),
  });
  // `dist` for what imports this package by its name; it is not sabotaged.
  for (const folder of ['node_modules', 'dist']) {
    symlinkSync(path.join(ROOT, folder), path.join(copy, folder), 'junction');
  }
  return copy;
}

/** The file as the sabotage makes it, or null where it no longer fits. */
function sabotaged(copy, { file, replace: [from, to] }) {
  const target = path.join(copy, file);
  const parts = existsSync(target) ? readFileSync(target, 'utf8').split(from) : [];
  return parts.length === 2 ? parts.join(to) : null;
}

/** What went wrong, or null where every test is there and green. What is red runs once more, as in `.ci/run`. */
async function greenWithout(copy, tests, again = true) {
  const { ran = [], broken = [], problem } = await runTests(copy, GREEN_LIMIT_MS, tests);
  if (problem !== undefined) return problem;
  const bad = tests.flatMap((test) => {
    const found = ran.filter(({ file, name }) => file === test.file && name === test.name);
    if (found.length === 1 && found[0].green) return [];
    const why = found.length === 1 ? `is red: ${found[0].why}` : `ran ${found.length} times`;
    return { test, line: `  ${test.file}: "${test.name}" ${why}` };
  });
  const lines = [...new Set(bad.map(({ line }) => line)), ...broken].join('\n');
  if (bad.length === 0) return null;
  if (!again) return lines;
  console.log(`Red without any sabotage, and run once more:\n${lines}`);
  const red = bad.map(({ test }) => test);
  return greenWithout(copy, red, false);
}

/**
 * The compiler's errors in the sabotages, or null: all at once, each in a file beside the one that it changes. A red test of
 * code that does not compile says nothing.
 */
async function compileErrors(copy, sabotages) {
  for (const sabotage of sabotages) {
    const { dir, name } = path.parse(sabotage.file);
    writeFileSync(path.join(copy, dir, `${name}.${sabotage.name}.ts`), sabotaged(copy, sabotage));
  }
  const unused = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
  const { status, output } = await run(copy, LIMIT_MS, 'node_modules/typescript/bin/tsc', '--noEmit', ...unused);
  return status === 0 ? null : output;
}

/** How the test notices the sabotage; throws where it does not. */
async function noticed(clean, sabotage) {
  const { name, file, test } = sabotage;
  const copy = copyTo(name, clean);
  try {
    writeFileSync(path.join(copy, file), sabotaged(copy, sabotage));
    const { ran = [], broken = [], problem } = await runTests(copy, LIMIT_MS, [test]);
    if (problem !== undefined) throw new Error(problem);
    const [only, ...others] = ran;
    if (only?.name !== test.name || others.length > 0) {
      const names = ran.map((each) => each.name).join(', ') || 'nothing';
      throw new Error(`"${test.name}" should have run, but ${names} did. ${broken.join('\n')}`);
    }
    if (only.green) throw new Error(`NOBODY NOTICES: ${test.file}: "${test.name}" is still green`);
    if (!RED.test(only.why)) throw new Error(`"${test.name}" is red for another reason: ${only.why}`);
    return only.why;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const seconds = (since) => `${Math.round((performance.now() - since) / 1_000)} s`;

const { values, positionals: names } = parseArgs({ options: { part: { type: 'string' } }, allowPositionals: true });
const [, part, of] = /^([1-9]\d?)\/([1-9]\d?)$/.exec(values.part ?? '1/1') ?? [];
if (of === undefined || Number(part) > Number(of)) {
  console.error(`--part: "${values.part}" is no part such as 1/3`);
  process.exit(2);
}
const unknown = names.filter((name) => !SABOTAGES.some((sabotage) => sabotage.name === name));
if (unknown.length > 0) {
  console.error(
    `There is no sabotage ${unknown.join(', ')}. There are:\n  ${SABOTAGES.map((s) => s.name).join('\n  ')}`,
  );
  process.exit(2);
}
const named = SABOTAGES.filter(({ name }) => names.length === 0 || names.includes(name));
const chosen = named.filter((_, index) => index % Number(of) === Number(part) - 1);
const started = performance.now();
const clean = copyTo('clean', ROOT);

const unfit = named.filter((sabotage) => sabotaged(clean, sabotage) === null);
if (unfit.length > 0) {
  for (const { name, file, replace } of unfit) {
    console.error(`${name}: ${file} does not have this text exactly once:\n    ${replace[0]}`);
  }
  console.error('The code has changed. Adapt test/sabotage/sabotages.mjs, so that the same promise is broken again.');
  process.exit(1);
}

const withAll = copyTo('compiled', clean);
const wrong = await compileErrors(withAll, named);
rmSync(withAll, { recursive: true, force: true });
if (wrong !== null) {
  console.error(`Sabotages that do not compile prove nothing:\n${wrong}`);
  process.exit(1);
}

const red = await greenWithout(
  clean,
  chosen.map(({ test }) => test),
);
if (red !== null) {
  console.error(`Not green without any sabotage, so nothing can be proven:\n${red}`);
  process.exit(1);
}
console.log(
  `${named.length} sabotages fit and compile; the tests of ${chosen.length} are green without them (${seconds(started)})`,
);

const waiting = [...chosen];
let failed = 0;
await Promise.all(
  Array.from({ length: LANES }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const since = performance.now();
      try {
        const why = await noticed(clean, next).catch((error) => {
          console.log(`again    ${next.name} (${seconds(since)}): ${error.message.split('\n', 1)[0]}`);
          return noticed(clean, next);
        });
        console.log(`noticed  ${next.name} (${seconds(since)}): ${why}`);
      } catch (error) {
        failed += 1;
        console.error(`FAILED   ${next.name} (${seconds(since)}): ${next.breaks}\n  ${error.message}`);
      }
    }
  }),
);
console.log(`${chosen.length - failed} of ${chosen.length} sabotages are noticed (${seconds(started)})`);
process.exit(failed === 0 ? 0 : 1);
