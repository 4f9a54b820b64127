const INTERVAL_MS = 20;

/**
 * Watches how long timers are held up while something runs.
 *
 * @returns the longest time between two ticks, ms
 */
export async function longestGapDuring(work: () => Promise<unknown>): Promise<number> {
  let last = performance.now();
  let longest = 0;
  const tick = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const probe = setInterval(tick, INTERVAL_MS);
  try {
    await work();
  } finally {
    clearInterval(probe);
    tick();
  }
  return longest;
}
