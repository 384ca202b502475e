/** Lists of runs in the order in which they started. */

type Started = { readonly runId: string; readonly startTime: Date; readonly closeTime?: Date };

/**
 * The runs that started last, newest first. The Service lists open runs by their start, and closed runs by their end: a run that
 * follows another in a list has not started after that time. No query can ask for another order.
 * @param lists - Open runs, closed runs, or one after the other; each as the Service gives it.
 */
export async function newest<Run extends Started>(
  lists: Iterable<AsyncIterable<Run>>,
  matches: (run: Run) => boolean,
  limit: number,
): Promise<Run[]> {
  let found: Run[] = [];
  for (const list of lists) {
    for await (const run of list) {
      const last = found[limit - 1];
      if (last !== undefined && (run.closeTime ?? run.startTime) <= last.startTime) break;
      if (!matches(run)) continue;
      // A run that has just ended is in both lists.
      const others = found.filter(({ runId }) => runId !== run.runId);
      found = [...others, run].toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime()).slice(0, limit);
    }
  }
  return found;
}
