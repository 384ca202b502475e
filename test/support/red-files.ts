import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/**
 * Writes the test files that are not green to the file that `RED_FILES` names, a line each, for `.ci/run`, which runs them
 * a second time. Also says when the machine stood still: a Worker that loses three heartbeats in a row has lost its attempt, and a
 * test may then see one more.
 */
export default class RedFiles implements Reporter {
  readonly #stalls: string[] = [];
  #last = Date.now();
  #timer: NodeJS.Timeout | undefined;

  onTestRunStart(): void {
    this.#last = Date.now();
    this.#timer = setInterval(() => {
      const now = Date.now();
      if (now - this.#last > 4_000)
        this.#stalls.push(`${Math.round((now - this.#last) / 1_000)} s until ${new Date(now).toISOString()}`);
      this.#last = now;
    }, 1_000);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: Parameters<Required<Reporter>['onTestRunEnd']>[1]): void {
    clearInterval(this.#timer);
    if (this.#stalls.length > 0) console.log(`This process stood still for ${this.#stalls.join(', ')}`);
    // A module that never ended is not red for vitest.
    const green = (module: TestModule): boolean => ['passed', 'skipped'].includes(module.state());
    const red = modules.filter((module) => !green(module)).map(({ moduleId }) => moduleId);
    const around = unhandled.map((error) => error['VITEST_TEST_PATH']);
    // An error that belongs to no file cannot be tried again.
    if (!around.every((file) => typeof file === 'string')) return;
    const files = new Set([...red, ...around]);
    if (files.size > 0) appendFileSync(process.env['RED_FILES']!, [...files, ''].join('\n'));
  }
}
