/** The records of an input file: rows of a table (CSV, TSV, `;`), or one JSON object a line. One is in memory at a time. */
import { pipeline, Readable } from 'node:stream';
import { CsvError, parse, type Info } from 'csv-parse';
import { InputRefused } from './problems.js';

/** Longest line, and longest row of a table, in bytes or characters. A request has 1 MB at most. */
export const LONGEST_LINE = 2_000_000;

const DELIMITERS = ['\t', ';', ',', '|'];

export interface Row {
  /** Line on which the row begins, from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * The delimiter of a table by its first line: the candidate that stands there most, outside of quotes. The names of columns
 * have no reason to hold one, but prompts are full of commas: a table of one column needs no quotes for them.
 */
export function delimiterOf(header: string): string {
  const bare = header.replaceAll(/"[^"]*"/g, '');
  const counts = DELIMITERS.map((delimiter) => bare.split(delimiter).length);
  const most = Math.max(...counts);
  return DELIMITERS[counts.indexOf(most)] ?? ',';
}

/** The rows of a table, header included; lines without any value are left out. @throws InputRefused where its quotes are wrong. */
export async function* rowsOf(text: AsyncIterable<string>, delimiter: string): AsyncGenerator<Row> {
  let last = 0;
  const parser = parse({
    delimiter,
    record_delimiter: '\n',
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_empty_values: true,
    max_record_size: LONGEST_LINE,
    info: true,
    // Called at once, while the rows themselves wait to be read.
    on_record: (cells: string[], { lines }) => {
      last = lines;
      return cells;
    },
  });
  // The parser is destroyed with the error of the text, and the text is closed with the parser.
  pipeline(Readable.from(text), parser, () => undefined);
  try {
    for await (const { info, record: cells } of parser as AsyncIterable<{ info: Info; record: string[] }>) {
      const lineEnds = cells.reduce((sum, cell) => sum + cell.split('\n').length - 1, 0);
      yield { line: info.lines - lineEnds, cells };
    }
  } catch (error) {
    if (error instanceof CsvError) throw refusedRow(error as WrongRow, last + 1);
    throw error;
  }
}

type WrongRow = CsvError & Pick<Info, 'lines'>;

function refusedRow({ code, lines, message }: WrongRow, first: number): InputRefused {
  const fix = 'A cell that holds a quote is put into quotes, and the quote is doubled: "a 12"" screen"';
  if (code === 'CSV_MAX_RECORD_SIZE') {
    return new InputRefused(first, `is longer than ${LONGEST_LINE / 1e6} MB, or a quote in it is not closed`);
  }
  if (code === 'CSV_QUOTE_NOT_CLOSED') return new InputRefused(first, `a quote is not closed. ${fix}`);
  if (code === 'INVALID_OPENING_QUOTE') return new InputRefused(lines, `a quote stands inside of a cell. ${fix}`);
  if (code === 'CSV_INVALID_CLOSING_QUOTE') {
    return new InputRefused(lines, `a cell goes on behind its closing quote. ${fix}`);
  }
  return new InputRefused(lines, message);
}

/** The lines of a text that are not empty, with their numbers. @throws InputRefused for a line that is too long. */
export async function* linesOf(text: AsyncIterable<string>): AsyncGenerator<readonly [line: number, text: string]> {
  let line = 1;
  let rest = '';
  for await (const part of text) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    for (const complete of [...lines, ...(rest.length > LONGEST_LINE ? [rest] : [])]) {
      if (complete.length > LONGEST_LINE) throw new InputRefused(line, `is longer than ${LONGEST_LINE / 1e6} MB`);
      if (complete.trim() !== '') yield [line, complete];
      line += 1;
    }
  }
  if (rest.trim() !== '') yield [line, rest];
}
