import { createInterface } from 'node:readline/promises';
import { UsageError } from './errors.js';

type Terminal = { input: NodeJS.ReadableStream & { isTTY?: boolean }; output: NodeJS.WritableStream };

/**
 * Asks before credits are spent. False for everything but a yes, also where the command is interrupted or the input ends.
 *
 * @throws UsageError with `otherwise` where there is no terminal to ask on.
 */
export async function confirmSpending(
  question: string,
  otherwise: string,
  interrupted: AbortSignal,
  terminal: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  if (terminal.input.isTTY !== true) {
    throw new UsageError(`There is no terminal to ask on. Nothing was spent. ${otherwise}`);
  }
  const prompt = createInterface(terminal);
  prompt.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  // Without it a question whose input ends (Ctrl-D) would never be answered.
  const ended = new AbortController();
  prompt.once('close', () => ended.abort());
  try {
    const answer = await prompt.question(question, { signal: AbortSignal.any([interrupted, ended.signal]) });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    // The question has no answer that would have ended its line.
    terminal.output.write('\n');
    return false;
  } finally {
    prompt.close();
  }
}
