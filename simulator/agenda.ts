interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: (at: number) => void;
}

/**
 * Things that will happen, earliest first (a binary heap; equal times keep the order in which they were added).
 *
 * There are no timers: whoever looks at the world calls `runDue` first. So 10,000 running turns cost nothing while
 * nobody looks, and slots pass from turn to turn in the order of time however late the look comes.
 */
export class Agenda {
  readonly #heap: Entry[] = [];
  #order = 0;

  /** @param at - ms since the Unix epoch; @param run - receives the time at which it was due, not the time of the look */
  add(at: number, run: (at: number) => void): void {
    this.#heap.push({ at, order: this.#order++, run });
    this.#siftUp(this.#heap.length - 1);
  }

  /** Runs all that is due at `now`, including what these runs add. */
  runDue(now: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= now; next = this.#heap[0]) {
      this.#removeFirst();
      next.run(next.at);
    }
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#siftDown(0);
  }

  #siftUp(index: number): void {
    for (let child = index; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.#swapUnlessOrdered(parent, child)) return;
      child = parent;
    }
  }

  #siftDown(index: number): void {
    for (let parent = index; ;) {
      const left = 2 * parent + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && this.#isBefore(right, left) ? right : left;
      if (!this.#swapUnlessOrdered(parent, child)) return;
      parent = child;
    }
  }

  #swapUnlessOrdered(parent: number, child: number): boolean {
    if (!this.#isBefore(child, parent)) return false;
    const [a, b] = [this.#entry(parent), this.#entry(child)];
    this.#heap[parent] = b;
    this.#heap[child] = a;
    return true;
  }

  #isBefore(left: number, right: number): boolean {
    const [a, b] = [this.#entry(left), this.#entry(right)];
    return a.at !== b.at ? a.at < b.at : a.order < b.order;
  }

  #entry(index: number): Entry {
    const entry = this.#heap[index];
    if (entry === undefined) throw new RangeError(`No entry ${index} in the agenda`);
    return entry;
  }
}
