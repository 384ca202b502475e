import { InvalidArgumentError, type Command } from 'commander';
import { commands } from './advice.js';
import { parseDuration } from '../policy/duration.js';

/** Gives a command its options. Returns its work, which resolves to the exit status. */
export type Register = (command: Command) => (options: never, ...args: string[]) => Promise<number>;

/** Values of options, by name: texts, options that may be given more than once, and options without a value. */
export type Texts<Name extends string> = Readonly<Partial<Record<Name, string>>>;
export type Lists<Name extends string> = Readonly<Partial<Record<Name, readonly string[]>>>;
export type Flags<Name extends string> = Readonly<Partial<Record<Name, boolean>>>;

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

/** Of the commands that wait for files. */
export const OUTPUT = '-o, --output <directory>';

export const PORT = wholeNumber(0, 65_535);

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
  return commands(`\nExamples:\n${lines.map((line) => `  $ rivya-temporal ${line}`).join('\n')}`);
}
