import { Context } from '@temporalio/activity';
import { TIMEOUTS } from '../src/policy/index.js';

/**
 * Does what a store or a file system may never give back. It is given up with `hung` when nothing has moved in it for so
 * many milliseconds, and at a cancel: what hangs hears of neither, and would hold its slot of the Worker for ever.
 */
export async function whileMoving<T>(
  silenceMs: number,
  hung: () => Error,
  work: (options: { readonly signal: AbortSignal; readonly moved: () => void }) => Promise<T>,
): Promise<T> {
  const { cancelled, cancellationSignal } = Context.current();
  const stop = new AbortController();
  const signal = AbortSignal.any([cancellationSignal, stop.signal]);
  let movedAt = Date.now();
  const moved = (): void => void (movedAt = Date.now());
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (Date.now() - movedAt < silenceMs) return;
      const error = hung();
      reject(error);
      stop.abort(error);
    }, TIMEOUTS.heartbeatEvery);
  });
  try {
    return await Promise.race([work({ signal, moved }), silent, cancelled]);
  } finally {
    clearInterval(timer);
  }
}
