/**
 * The limit for a transfer to or from a store or a file system, which may hang and never return. It guarantees that a
 * hanging transfer frees its slot of the Worker. `rivyaStore` and `rivyaUpload` call it. It sets no limit to a transfer
 * that moves.
 */
import { Context } from '@temporalio/activity';
import { TIMEOUTS } from '../src/policy/index.js';

/**
 * Does a transfer. It is given up when nothing has moved for `silenceMs` milliseconds, and at a cancel.
 * @param hung - Makes the error for a transfer that hangs.
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
