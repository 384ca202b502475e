/** The limit of a task queue at the Service, as calls a minute and back. */
// A task queue of a default Service has four partitions, each with a limiter and a second of burst of its own.
const PARTITIONS = 4;
// A Worker that stalls for a moment starts a bunch at once.
const FOR_JITTER = 0.97;

/**
 * Activities per second that keep a queue to `perMinute` calls in any 60 s: (N − partitions) / 61 less 3 %. Below 20 a
 * minute the bursts of the partitions outweigh the rate, so half of it is used.
 */
export function activitiesPerSecond(perMinute: number): number {
  if (perMinute < 20) return perMinute / 60 / 2;
  return ((perMinute - PARTITIONS) / 61) * FOR_JITTER;
}

/** `activitiesPerSecond` the other way round, in whole calls: the Service keeps the number with less precision. */
export function callsPerMinute(perSecond: number): number {
  const few = perSecond * 60 * 2;
  return Math.round(few < 20 ? few : (perSecond / FOR_JITTER) * 61 + PARTITIONS);
}
