/** What is wrong with the input of a batch. All of it is found before anything is started or paid. */

/** Problems that an error lists; the others are counted. */
const LISTED = 50;

export interface InputProblem {
  /** Line of the input file, from 1; null for a problem of the whole file. */
  readonly line: number | null;
  readonly problem: string;
}

/** A problem that ends the reading, because nothing behind it can be understood. */
export class InputRefused extends Error {
  override readonly name = 'InputRefused';
  readonly line: number | null;
  constructor(line: number | null, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** The input of a batch is wrong. Nothing was started and nothing was paid. */
export class BatchInputError extends Error {
  override readonly name = 'BatchInputError';
  /** The first 50, in the order in which they were found. */
  readonly problems: readonly InputProblem[];
  readonly count: number;
  constructor(file: string, problems: readonly InputProblem[], count: number) {
    const lines = problems.map(({ line, problem }) => `  ${line === null ? '' : `line ${line}: `}${problem}`);
    const more = count - problems.length;
    if (more > 0) lines.push(`  and ${more} more`);
    const found = count === 1 ? 'There is a problem' : `There are ${count} problems`;
    super(`${found} in ${file}. Nothing was started and nothing was paid.\n${lines.join('\n')}`);
    this.problems = problems;
    this.count = count;
  }
}

/** Collects problems. It keeps the first ones and counts the rest, so a file of a million wrong lines fits. */
export class Problems {
  readonly #file: string;
  readonly #listed: InputProblem[] = [];
  #count = 0;

  constructor(file: string) {
    this.#file = file;
  }

  add(line: number | null, problem: string): void {
    this.#count += 1;
    if (this.#listed.length < LISTED) this.#listed.push({ line, problem });
  }

  /** @throws BatchInputError where there are problems. */
  check(): void {
    if (this.#count > 0) throw new BatchInputError(this.#file, this.#listed, this.#count);
  }
}
