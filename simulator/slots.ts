import type { SessionRecord } from './session.js';

/**
 * Concurrent runs of the account, and who waits for one. Waiters move on first come, first served.
 *
 * Sessions can also be held: they show as queued, but no free slot moves them. Otherwise no session could be seen
 * queued without filling all slots first.
 */
export class SlotPool {
  #running = 0;
  readonly #waiting = new Set<SessionRecord>();
  readonly #held = new Set<SessionRecord>();

  constructor(readonly size: number) {}

  get running(): number {
    return this.#running;
  }

  hasRoom(): boolean {
    return this.#running < this.size;
  }

  /** Takes a slot, over the limit too: a scenario may declare more running turns than there are slots. */
  take(): void {
    this.#running += 1;
  }

  giveBack(): void {
    this.#running -= 1;
  }

  wait(session: SessionRecord): void {
    this.#waiting.add(session);
  }

  hold(session: SessionRecord): void {
    this.#held.add(session);
  }

  leave(session: SessionRecord): void {
    this.#waiting.delete(session);
    this.#held.delete(session);
  }

  /** @returns the waiter whose turn it is, taken off the queue; undefined when nobody waits or no slot is free */
  next(): SessionRecord | undefined {
    if (!this.hasRoom()) return undefined;
    for (const session of this.#waiting) {
      this.#waiting.delete(session);
      return session;
    }
    return undefined;
  }

  /** @returns place in the queue, counted from 1; null when the session does not wait */
  positionOf(session: SessionRecord): number | null {
    let position = 0;
    for (const queue of [this.#held, this.#waiting]) {
      for (const waiter of queue) {
        position += 1;
        if (waiter === session) return position;
      }
    }
    return null;
  }
}
