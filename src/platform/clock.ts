import { performance } from 'node:perf_hooks';

/** Our clocks. Only the monotonic one may judge how old a read is: the wall clock can jump. */
export interface Clock {
  /** ms since the Unix epoch. */
  wall(): number;
  /** ms since some start; never goes back. The same scale as the sessions client's `sentAt` and `receivedAt`. */
  monotonic(): number;
}

export const systemClock: Clock = { wall: () => Date.now(), monotonic: () => performance.now() };
