/** Time limits of Activities and Workers in milliseconds, each with its reason. The limits of HTTP are in `HTTP_TIMEOUTS`. */
import { HOUR, MINUTE, SECOND } from './duration.js';

export const TIMEOUTS = {
  /** One submit attempt: the 60 s of its POST, plus the fence before and after it. */
  submitStartToClose: 75 * SECOND,
  /** One check attempt: the 20 s of its GET and room for a slow Worker. */
  checkStartToClose: 30 * SECOND,
  /** A store or a disk that gives no byte of a reference for so long hangs. A download from a link has a shorter limit. */
  sourceSilence: 60 * SECOND,
  /** Backstop only: three hours carry the 95 MB of the largest reference at 9 kB/s. */
  uploadStartToClose: 3 * HOUR,
  /** An estimate is two reads, one after the other, and room for a slow Worker. */
  estimateStartToClose: 50 * SECOND,
  /** Submit, check and upload: a killed Worker is noticed after this, not after the whole attempt. */
  heartbeat: 15 * SECOND,
  /** Below `heartbeat` by the time of an acknowledgement: after this another attempt may have begun. */
  leaseHeld: 12 * SECOND,
  /** Beats per heartbeat timeout: two may be lost. */
  heartbeatEvery: 5 * SECOND,
  /** Downloads have no total limit; one that moves nothing for this long is dead. */
  storeHeartbeat: 30 * SECOND,
  /** A store in which nothing has moved for so long hangs. Some copy all parts of 4 GB before they answer the last call. */
  storeSilence: 10 * MINUTE,
  /** Backstop only: four days carry 4 GB at 12 kB/s. */
  storeStartToClose: 96 * HOUR,
  /** One look at a batch with a thousand starts at 10 a second, its wait of a minute, and a busy machine. */
  batchTickStartToClose: 10 * MINUTE,
  /** A few questions to the Service, one after the other, on a busy machine. */
  accountStartToClose: 60 * SECOND,
  /** Backstop only: at 40 Signals a second 800,000 are told in so long. */
  releaseStartToClose: 6 * HOUR,
  /** A closed API task queue may hold a read for as long as `Retry-After` may; the next one is asked for then. */
  readScheduleToClose: 10 * MINUTE,
  /** A file system or object store that does not answer a small write at the start will not take results either. */
  storeProbe: 20 * SECOND,
  /** A stopping Worker lets a POST under way end, so this is above `submitStartToClose`. */
  shutdownGrace: 80 * SECOND,
  /** A killed Worker costs each waiting Workflow this long; the default is 10 s. */
  stickyQueue: 2 * SECOND,
  /** A step that has its result waits so long for fresh links, then returns the links that it has. */
  freshLinks: 30 * SECOND,
  /** A status check so soon after the create may not find the task yet. */
  notFoundGrace: 60 * SECOND,
  /** `succeeded` without a link: the result may trail the status for so long. */
  resultGrace: 5 * MINUTE,
} as const;
