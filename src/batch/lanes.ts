/**
 * Does the work of all, at most so many at a time; results are in order. After an error nothing more is begun, and what was
 * begun has ended when the error is thrown.
 */
export async function inLanes<T, R>(
  all: readonly T[],
  lanes: number,
  work: (one: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < all.length && !failed) {
      const index = next++;
      try {
        results[index] = await work(all[index] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(lanes, all.length) }, lane));
  const refused = ends.find((end) => end.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
  return results;
}
