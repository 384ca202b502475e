import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';

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

/** Help text after the options. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ rivya-temporal ${line}`).join('\n')}`;
}
