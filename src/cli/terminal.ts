/** What a person at the terminal says: an interruption, and consent. */
import { once, setMaxListeners } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { UsageError } from './errors.js';

type Terminal = { input: NodeJS.ReadableStream & { isTTY?: boolean }; output: NodeJS.WritableStream };

/** A signal that the first Ctrl-C, SIGTERM or closed terminal aborts; the second one ends the process at once. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  // Copies that run side by side all listen; beyond ten Node would print a warning of a leak.
  setMaxListeners(0, controller.signal);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort(name);
    });
  }
  return controller.signal;
}

/** Resolves when the signal is aborted, at once if it is already. */
export async function whenAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** Asks before credits are spent. False for all but a yes. @throws UsageError with `otherwise` without a terminal */
export async function confirmSpending(
  question: string,
  otherwise: string,
  interrupted: AbortSignal,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  if (input.isTTY !== true) throw new UsageError(`There is no terminal to ask on. Nothing was spent. ${otherwise}`);
  const prompt = createInterface({ input, output });
  prompt.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  // Without it a question whose input ends (Ctrl-D) would never be answered.
  const ended = new AbortController();
  prompt.once('close', () => ended.abort());
  try {
    const answer = await prompt.question(question, { signal: AbortSignal.any([interrupted, ended.signal]) });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    // The question has no answer that would have ended its line.
    output.write('\n');
    return false;
  } finally {
    prompt.close();
  }
}
