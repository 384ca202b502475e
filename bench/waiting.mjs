// npm run bench:waiting [-- <part>...], of limit, learned, between, drift, prior and plot: calls and lag of status checks, next to the
// best that any schedule can do. All of it is computed, so it gives the same figures everywhere.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NO_DURATIONS } from '../dist/src/policy/durations.js';
import { learn, learnBetweenChecks, learned, mean, numbers, schedule } from './waiting-learned.mjs';
import { cheapest, costOf, every, gridOf, heavyTailed, logNormal, mixture } from './waiting-limit.mjs';
import { plot } from './waiting-plot.mjs';

const PRICES = [1, 0.2];
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 40);
const LOG_NORMALS = [15, 90, 300].flatMap((median) => [0.3, 0.6].map((sigma) => logNormal(median, sigma)));
const TWO_PEAKS = mixture('20 s or 120 s', [
  [0.5, logNormal(20, 0.2)],
  [0.5, logNormal(120, 0.2)],
]);
const kindOf = (distribution) => (distribution.cdf(30) > 0.5 ? 'image' : 'video');
const pair = ({ calls, lag }) => `${calls < 10 ? calls.toFixed(2) : calls.toFixed(1)} / ${lag.toFixed(1)}`;
const ratio = ({ cost }, { cost: to }) => (cost / to).toFixed(2);
/** The schedule of this package for who has learned nothing. */
const fixedOf = (grid, kind, price) => mean(ROUNDS, (random) => costOf(grid, schedule({ price, kind, random }), price));

function limit() {
  const rows = {};
  for (const { name, cdf } of LOG_NORMALS) {
    const grid = gridOf(cdf);
    rows[name] = Object.fromEntries([
      ...PRICES.map((price) => [`price ${price}`, pair(cheapest(grid, price))]),
      ...[5, 10].map((pace) => [`fixed ${pace} s`, pair(costOf(grid, every(pace), 1))]),
    ]);
  }
  console.log(
    '\nThe best possible for a known log-normal distribution (median, sigma): calls per job / mean lag in seconds',
  );
  console.table(rows);
}

function learning() {
  const cases = [
    ...LOG_NORMALS.map((distribution) => [distribution.name, distribution, distribution]),
    ['two peaks: 20 s or 120 s', TWO_PEAKS, TWO_PEAKS],
    ['heavy tail: 60 s', heavyTailed(60), heavyTailed(60)],
    ['shifted: learned 90, is 60', logNormal(60, 0.3), logNormal(90, 0.3)],
    ['shifted: learned 90, is 135', logNormal(135, 0.3), logNormal(90, 0.3)],
  ];
  for (const price of PRICES) {
    const rows = {};
    for (const [name, is, from] of cases) {
      const [grid, kind] = [gridOf(is.cdf), kindOf(is)];
      const best = cheapest(grid, price);
      const fixed = fixedOf(grid, kind, price);
      const row = (rows[name] = { best: pair(best), fixed: `${pair(fixed)} (${ratio(fixed, best)})` });
      for (const jobs of [0, 5, 20, 100, 1_000]) {
        const ours = learned({ from, grid, jobs, price, kind, rounds: ROUNDS });
        row[`from ${jobs} jobs`] = `${pair(ours)} (${ratio(ours, best)})`;
      }
    }
    console.log(`\nPrice ${price}: calls per job / mean lag in seconds (cost as a ratio to the best possible)`);
    console.table(rows);
  }
}

/** An API that tells no end, or the time of the check in place of it. */
function between() {
  const rows = {};
  for (const is of LOG_NORMALS) {
    const [grid, kind] = [gridOf(is.cdf), kindOf(is)];
    rows[is.name] = {};
    for (const price of PRICES) {
      const best = cheapest(grid, price);
      for (const jobs of [20, 100]) {
        const ours = mean(ROUNDS, (random) => {
          const counts = learnBetweenChecks(is, jobs, { price, kind, random });
          return costOf(grid, schedule({ counts, price, kind, random }), price);
        });
        rows[is.name][`price ${price}, ${jobs} jobs`] = ratio(ours, best);
      }
    }
  }
  console.log('\nWhere only the checks say when a job has ended: cost as a ratio to the best possible');
  console.table(rows);
}

/** A model that gets faster or slower after 1,000 jobs: cost of the n-th job after that, as a ratio to the fixed schedule. */
function drift() {
  const rows = {};
  for (const price of PRICES) {
    for (const [before, after] of [
      [300, 60],
      [60, 300],
    ]) {
      const [from, is] = [before, after].map((median) => logNormal(median, 0.3));
      const grid = gridOf(is.cdf);
      const fixed = fixedOf(grid, 'video', price);
      const row = (rows[`${before} s, then ${after} s, price ${price}`] = {});
      for (const job of [1, 2, 5, 10, 20, 40]) {
        const ours = mean(ROUNDS, (random) => {
          const counts = learn(learn(NO_DURATIONS, from, 1_000, random), is, job - 1, random);
          return costOf(grid, schedule({ counts, price, kind: 'video', random }), price);
        });
        row[`job ${job}`] = `${ratio(ours, fixed)} (lag ${ours.lag.toFixed(0)})`;
      }
    }
  }
  console.log('\nAfter a drift: cost as a ratio to the fixed schedule (mean lag in seconds)');
  console.table(rows);
}

/** What the 5 % for jobs that end at any time cost, where the distribution is known; and how late they find such a job. */
function prior() {
  const rows = {};
  // Evenly on the scale of logarithms, from 2 s to 12 h.
  const anyTime = { cdf: (t) => Math.min(1, Math.max(0, Math.log(t / 2) / Math.log(21_600))) };
  for (const price of PRICES) {
    for (const is of LOG_NORMALS) {
      const grid = gridOf(is.cdf);
      const best = cheapest(grid, price);
      const mixed = mixture('', [
        [0.95, is],
        [0.05, anyTime],
      ]);
      const { checks } = cheapest(gridOf(mixed.cdf), price);
      const planned = costOf(grid, (age) => (checks.find((time) => time > age) ?? age + 60) - age, price);
      const random = () => 0;
      const counts = learn(NO_DURATIONS, is, 1_000, numbers(1));
      const next = schedule({ counts, price, kind: kindOf(is), random });
      const seenAt = (end) => {
        let age = 0;
        for (let first = true; age < end; first = false) age += next(age, first);
        return age;
      };
      const median = Number.parseFloat(is.name);
      const late = (share) => `${(seenAt(median * share) - median * share).toFixed(0)} s late`;
      rows[`${is.name}, price ${price}`] = {
        'cost of the 5 %': `${(100 * (planned.cost / best.cost - 1)).toFixed(1)} %`,
        'ends at 1/20': late(1 / 20),
        'ends at 1/4': late(1 / 4),
        'ends at 1/2': late(1 / 2),
      };
    }
  }
  console.log(
    '\nThe 5 % for jobs that end at any time: cost where none does, and how late a job is found that ends much earlier',
  );
  console.table(rows);
}

function picture() {
  const panels = [logNormal(15, 0.3), logNormal(90, 0.3), logNormal(300, 0.3)].map((is) => {
    const [grid, kind] = [gridOf(is.cdf), kindOf(is)];
    const learnedFrom = (jobs) =>
      [2, 1, 0.5, 0.2, 0.1].map((price) => learned({ from: is, grid, jobs, price, kind, rounds: ROUNDS }));
    return {
      title: `median ${is.name.replace(', ', ', sigma ')}`,
      limit: [5, 3, 2, 1, 0.5, 0.3, 0.2, 0.1, 0.06].map((price) => cheapest(grid, price)),
      learned: { '20 jobs': learnedFrom(20), '100 jobs': learnedFrom(100) },
      fixed: {
        'every 5 s': costOf(grid, every(5), 1),
        'every 10 s': costOf(grid, every(10), 1),
        'nothing learned': fixedOf(grid, kind, 1),
      },
    };
  });
  const file = new URL('../docs/waiting.svg', import.meta.url);
  writeFileSync(file, plot(panels));
  console.log(`\nwritten: ${fileURLToPath(file)}`);
}

const parts = { limit, learned: learning, between, drift, prior, plot: picture };
const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
const unknown = asked.find((name) => !Object.hasOwn(parts, name));
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}": choose some of ${Object.keys(parts).join(', ')}.`);
  process.exit(2);
}
for (const name of asked) parts[name]();
