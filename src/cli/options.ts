import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { parseDuration } from '../policy/index.js';

/** Runs the work of a command and keeps its exit status. */
export type Run = (work: () => Promise<number>) => Promise<void>;
/** Adds one command to the program. */
export type Register = (program: Command, run: Run) => void;

/** Collects an option that may be given more than once. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** Parses a whole number of an option. */
export function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return number;
  };
}

export const PORT = wholeNumber(0, 65_535);

/** Parses a number above 0. */
export function positiveNumber(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number > 0) || !Number.isFinite(number)) {
    throw new InvalidArgumentError('It must be a number above 0.');
  }
  return number;
}

/** Parses `2026-11-01`, a whole time, or how long ago (`7d`), to ISO 8601. */
export function since(text: string): string {
  const ago = parseDuration(text);
  const [day] = /^\d{4}-\d\d-\d\d/.exec(text) ?? [];
  // JavaScript takes 30 February for 2 March.
  const exists = day !== undefined && new Date(`${day}T00:00:00Z`).getUTCDate() === Number(day.slice(-2));
  const date = exists ? Date.parse(text) : Number.NaN;
  const time = new Date(ago === null ? date : Date.now() - ago);
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('It must be a day of the calendar like 2026-11-01, or a duration like 7d.');
  return time.toISOString();
}

/** Help text after the options. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ rivya-temporal ${line}`).join('\n')}`;
}
