// The cheapest schedule of status checks for a known distribution of durations, by dynamic programming, and the cost of any
// other schedule. Times are seconds; cost is calls + price × lag, where the price is in calls for a second of lag.

/** No check before this, and no two closer: the pace that the API page advises. */
const FIRST = 2;
const GAP = 5;
// Times between which a schedule may choose: close enough for three digits.
const step = (t) => Math.max(0.1, 0.0025 * t);
// So few jobs end later that they do not count; none is waited for longer than the default deadline.
const REST = 1e-6;
const LONGEST = 21_600;

/** A distribution on a grid: F is the share that has ended by a time, and G the integral of F. */
export function gridOf(cdf) {
  const [t, F, G] = [[0], [0], [0]];
  for (let now = step(0); F.at(-1) < 1 - REST && now < LONGEST; now += step(now)) {
    G.push(G.at(-1) + ((F.at(-1) + cdf(now)) / 2) * (now - t.at(-1)));
    F.push(cdf(now));
    t.push(now);
  }
  return { t, F, G };
}

/** Calls and mean lag of the schedule that costs least, and the times of its checks. */
export function cheapest({ t, F, G }, price) {
  const last = t.length - 1;
  // From each time at which a check found the job running: cost, calls and lag of all that follows, times the share that runs.
  const rest = t.map(() => ({ cost: 0, calls: 0, lag: 0 }));
  for (let i = last - 1, from = last; i >= 0; i--) {
    const gap = i === 0 ? FIRST : GAP;
    while (from > i + 1 && t[from - 1] >= t[i] + gap) from--;
    if (i === 0) from = t.findIndex((time) => time >= FIRST);
    const alive = 1 - F[i];
    rest[i] = { cost: Infinity };
    for (let j = from; j <= last; j++) {
      // Each job that ends between the two checks waits for the second.
      const lag = G[j] - G[i] - F[i] * (t[j] - t[i]);
      const now = alive + price * lag;
      if (now >= rest[i].cost) break;
      if (now + rest[j].cost >= rest[i].cost) continue;
      rest[i] = { cost: now + rest[j].cost, calls: alive + rest[j].calls, lag: lag + rest[j].lag, next: j };
    }
  }
  const checks = [];
  for (let i = rest[0].next; i !== undefined; i = rest[i].next) checks.push(t[i]);
  return { ...rest[0], checks };
}

/** Calls and mean lag of a schedule. `next(age, first)` gives the seconds until the next check. */
export function costOf({ t, F, G }, next, price) {
  let [age, F0, G0, calls, lag] = [0, 0, 0, 0, 0];
  for (let i = 0; i < t.length - 1;) {
    const then = Math.min(age + next(age, age === 0), t.at(-1));
    while (i < t.length - 2 && t[i + 1] <= then) i++;
    const part = Math.min(1, (then - t[i]) / (t[i + 1] - t[i]));
    const [F1, G1] = [F, G].map((values) => values[i] + part * (values[i + 1] - values[i]));
    calls += 1 - F0;
    lag += G1 - G0 - F0 * (then - age);
    if (then >= t.at(-1)) break;
    [age, F0, G0] = [then, F1, G1];
  }
  return { cost: calls + price * lag, calls, lag };
}

/** The vendor's advice with another pace: 2 to 3 s, then every so many seconds. */
export const every = (seconds) => (_age, first) => (first ? FIRST + 0.5 : seconds);

/** Share of a normal distribution below a value (Abramowitz and Stegun 7.1.26, right to 1e-7). */
function normal(x) {
  const k = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2);
  const poly = k * (0.254829592 + k * (-0.284496736 + k * (1.421413741 + k * (-1.453152027 + k * 1.061405429))));
  const half = 0.5 * poly * Math.exp((-x * x) / 2);
  return x < 0 ? half : 1 - half;
}

/** A standard normal number (Box and Muller). */
const draw = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Distributions: the share that has ended by a time, and a duration drawn from them. */
export const logNormal = (median, sigma) => ({
  name: `${median} s, ${sigma}`,
  cdf: (t) => normal(Math.log(t / median) / sigma),
  sample: (random) => median * Math.exp(sigma * draw(random)),
});

export const mixture = (name, parts) => ({
  name,
  cdf: (t) => parts.reduce((sum, [share, part]) => sum + share * part.cdf(t), 0),
  sample(random) {
    let left = random();
    const [, part] = parts.find(([share]) => (left -= share) < 0) ?? parts.at(-1);
    return part.sample(random);
  },
});

/** Log-logistic: of the jobs that take longer than a long time, a quarter takes more than twice as long. */
export const heavyTailed = (median) => ({
  name: `${median} s, heavy tail`,
  cdf: (t) => 1 / (1 + (median / t) ** 2),
  sample: (random) => median * Math.sqrt(1 / (1 - random()) - 1),
});
