/** Lengths of time, as inputs give them and as people read them. */
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const UNITS = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY } as const;

/** Milliseconds of `"90s"`, `"1.5h"` or a number of milliseconds; null for anything else. */
export function parseDuration(value: string | number): number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : null;
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(value.trim());
  if (match === null) return null;
  return Math.round(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]);
}

/** A length of time as a person says it: `6 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const [big, bigUnit, small, smallUnit] =
    seconds < 3_600
      ? [Math.floor(seconds / 60), 'min', seconds % 60, 's']
      : seconds < 86_400
        ? [Math.floor(seconds / 3_600), 'h', Math.floor((seconds % 3_600) / 60), 'min']
        : [Math.floor(seconds / 86_400), 'd', Math.floor((seconds % 86_400) / 3_600), 'h'];
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** A length of time between two, without a precision that nobody can promise: `1 min 20 s to 2 min`, or one where both are the same. */
export function formatRange({ from, to }: { readonly from: number; readonly to: number }): string {
  return range(formatDuration(rounded(from)), formatDuration(rounded(to)));
}

/** A range of numbers or times in words; one value where both ends are the same. */
export function range(from: string, to: string): string {
  return from === to ? from : `${from} to ${to}`;
}

/** To minutes, or to tens of seconds. */
function rounded(ms: number): number {
  const step = ms > 10 * MINUTE ? MINUTE : ms > MINUTE ? 10 * SECOND : SECOND;
  return Math.max(step, Math.round(ms / step) * step);
}
