/** Time limits of Activities and Workers, in milliseconds, each with its reason. Those of HTTP are `HTTP_TIMEOUTS`. */

const SECOND = 1_000;

export const TIMEOUTS = {
  /** One submit attempt: the 60 s of its POST, plus the fence before and after it. */
  submitStartToClose: 75 * SECOND,
  /** One check attempt: the 20 s of its GET and room for a slow Worker. */
  checkStartToClose: 30 * SECOND,
  /** A store or a disk that gives no byte of a reference for so long hangs; a link is given up earlier by itself. */
  sourceSilence: 60 * SECOND,
  /** Backstop only: three hours carry the 95 MB of the largest reference at 9 kB/s. */
  uploadStartToClose: 3 * 3_600 * SECOND,
  /** An estimate is two reads, one after the other, and room for a slow Worker. */
  estimateStartToClose: 50 * SECOND,
  /** Submit, check and upload: a killed Worker is noticed after this, not after the whole attempt. */
  heartbeat: 15 * SECOND,
  /** Below `heartbeat` by what an acknowledgement may take: after this another attempt may have begun. */
  leaseHeld: 12 * SECOND,
  /** Beats per heartbeat timeout: two may be lost. */
  heartbeatEvery: 5 * SECOND,
  /** Downloads have no total limit; one that moves nothing for this long is dead. */
  storeHeartbeat: 30 * SECOND,
  /** A store in which nothing has moved for so long hangs. Some copy all parts of 4 GB before they answer the last call. */
  storeSilence: 10 * 60 * SECOND,
  /** Backstop only: four days carry 4 GB at 12 kB/s. */
  storeStartToClose: 96 * 3_600 * SECOND,
  /** A file system or object store that does not answer a small write at the start will not take results either. */
  storeProbe: 20 * SECOND,
  /** A stopping Worker lets a POST under way end, so this is above `submitStartToClose`. */
  shutdownGrace: 80 * SECOND,
  /** A killed Worker costs each waiting Workflow this long; the default is 10 s. */
  stickyQueue: 2 * SECOND,
  /** A step that has its result waits so long for links that have not expired, then takes those that it has. */
  freshLinks: 30 * SECOND,
  /** A status check so soon after the create may not find the task yet. */
  notFoundGrace: 60 * SECOND,
  /** `succeeded` without a link: the result may trail the status for so long. */
  resultGrace: 5 * 60 * SECOND,
} as const;
