/** The items that ended over time, as an inline SVG of bars. */

const WIDTH = 720;
const HEIGHT = 140;
const FOOT = 18;
const BARS = 60;
const MINUTE = 60_000;
// Widths of a bar that people can name, in minutes.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1_440, 10_080];

/** One bar for so many minutes: when it begins, and how many items ended in it. */
export interface Bar {
  readonly at: number;
  readonly items: number;
}

/** Bars from the first minute to the last, of one width, 60 at most (more only beyond 600 weeks). */
export function barsOf(start: number, ends: readonly number[]): { readonly minutes: number; readonly bars: Bar[] } {
  const [from, to] = ends.reduce(([a, b], end) => [Math.min(a, end), Math.max(b, end)], [start, start] as const);
  const minutes = STEPS.find((step) => (to - from) / (step * MINUTE) < BARS) ?? STEPS.at(-1) ?? 1;
  const width = minutes * MINUTE;
  const items = Array.from({ length: Math.floor((to - from) / width) + 1 }, () => 0);
  for (const end of ends) {
    const index = Math.floor((end - from) / width);
    items[index] = (items[index] ?? 0) + 1;
  }
  return { minutes, bars: items.map((count, index) => ({ at: from + index * width, items: count })) };
}

/** All texts of the SVG are made here, so nothing in it needs to be escaped. */
export function chart(start: number, ends: readonly number[]): string {
  const { minutes, bars } = barsOf(start, ends);
  const most = Math.max(...bars.map(({ items }) => items), 1);
  const wide = WIDTH / bars.length;
  const drawn = bars.map(({ at, items }, index) => {
    const height = (items / most) * (HEIGHT - 8);
    const place = `x="${round(index * wide)}" y="${round(HEIGHT - height)}" width="${round(Math.max(wide - 1, 0.5))}" height="${round(height)}"`;
    return `<rect ${place}><title>${clock(at)}: ${items} in ${minutes} min</title></rect>`;
  });
  const last = bars.at(-1)?.at ?? start;
  const label = (x: number, anchor: string, text: string): string =>
    `<text x="${x}" y="${HEIGHT + FOOT - 4}" text-anchor="${anchor}">${text}</text>`;
  const ground = `<line x1="0" y1="${HEIGHT}" x2="${WIDTH}" y2="${HEIGHT}"/>`;
  const span = minutes === 1 ? 'minute' : `${minutes} minutes`;
  const says = `Items that ended in each ${span}; ${most} at most`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + FOOT}" preserveAspectRatio="xMinYMid" role="img" aria-label="${says}">${drawn.join('')}${ground}${label(0, 'start', clock(start))}${label(WIDTH / 2, 'middle', says)}${label(WIDTH, 'end', clock(last + minutes * MINUTE))}</svg>`;
}

/** A time as the report shows it: in UTC, to the minute. */
export function clock(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

function round(n: number): number {
  return Math.round(n * 100) / 100;
}
