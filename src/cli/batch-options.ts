/** Options of `batch run` and `batch add`, read and judged before anything is connected. */
import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { MOST_VARIANTS, type InputDefaults } from '../batch/input/items.js';
import type { Duration } from '../contract/index.js';
import { isMaxFailures, MOST_IN_FLIGHT, MOST_ITEMS } from '../policy/batch-input.js';
import { parseDuration } from '../policy/duration.js';
import { InvalidInput, readAll } from '../policy/fields.js';
import { MAX_ATTEMPTS } from '../policy/input.js';
import { slug } from '../policy/key.js';
import { inOptions } from './advice.js';
import { UsageError } from './errors.js';
import { collect, wholeNumber, type Lists, type Texts } from './options.js';
import { readLabels, readParams, readReferences } from './params.js';

const LONGEST_ID = 100;

export type InputOptions = Texts<'model' | 'prompt' | 'encoding'> &
  Lists<'param' | 'reference' | 'label'> & {
    readonly repeat?: number;
    readonly maxAttempts?: number;
    readonly deadline?: Duration;
  };

/** Gives a command the options that stand for columns which the input does not have. */
export function inputOptions(command: Command): Command {
  return command
    .option('--model <id>', 'model of the lines that name none')
    .option('--prompt <text>', 'prompt of the lines that have none')
    .option('--param <key=value>', 'a param of every line as text, or key:=json; repeatable', collect)
    .option('--reference <kind:source>', 'media for the lines that name none; repeatable', collect)
    .option('--label <name=value>', 'a label of every line; repeatable', collect)
    .option('--repeat <n>', 'variants of each line that does not say (default 1)', wholeNumber(1, MOST_VARIANTS))
    .option(
      '--max-attempts <n>',
      'paid tasks of an item at most, if one fails (default 1)',
      wholeNumber(1, MAX_ATTEMPTS),
    )
    .option('--deadline <duration>', 'how long to wait for the task of an item (default 6h)', durationOption)
    .option('--encoding <name>', 'encoding of the file, as windows-1252 (default: found out)');
}

/** @throws UsageError that names the option. */
export function readDefaults(options: InputOptions): InputDefaults {
  const { model, prompt, repeat, maxAttempts, deadline } = options;
  try {
    const [params, references, labels] = readAll(
      () => readParams(options.param),
      () => readReferences(options.reference),
      () => readLabels(options.label),
    );
    const limits = { ...(maxAttempts !== undefined && { maxAttempts }), ...(deadline !== undefined && { deadline }) };
    return {
      ...(model !== undefined && { model }),
      ...(prompt !== undefined && { prompt }),
      ...(params !== undefined && { params }),
      ...(references !== undefined && { references }),
      ...(labels !== undefined && { labels }),
      ...(repeat !== undefined && { repeat }),
      ...(Object.keys(limits).length > 0 && { options: limits }),
    };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new UsageError(inOptions(error));
  }
}

function durationOption(value: string): Duration {
  const ms = parseDuration(value);
  if (ms === null || ms === 0) throw new InvalidArgumentError('It must be a duration such as 90m or 6h.');
  return value as Duration;
}

/** The ID of a batch: as it was given, or by the name of its file. @throws UsageError */
export function readBatchId(given: string | undefined, file: string): string {
  const id = given ?? slug(path.basename(file).replace(/\.[^.]*$/, ''), LONGEST_ID);
  const option = given === undefined ? 'the name of the file gives no ID; give --id' : `--id: "${given}"`;
  if (/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(id) && id.length <= LONGEST_ID) return id;
  throw new UsageError(
    `${option} must be 1 to ${LONGEST_ID} characters of A-Z, a-z, 0-9, ".", "_" and "-", with no dot at the start. Nothing was paid.`,
  );
}

/** Parses `--max-credits`: a number above 0. */
export function creditsOption(value: string): number {
  const credits = Number(value);
  if (value.trim() === '' || !Number.isFinite(credits) || credits <= 0) {
    throw new InvalidArgumentError('It must be a number of credits above 0.');
  }
  return credits;
}

/** Parses `--max-failures`: a number of items, or a share such as `20%`. */
export function failuresOption(value: string): string {
  if (!isMaxFailures(value))
    throw new InvalidArgumentError('It must be a number of items from 1, or a share such as 20%.');
  return value;
}

export const FIRST = wholeNumber(1, MOST_ITEMS);
export const IN_FLIGHT = wholeNumber(1, MOST_IN_FLIGHT);
