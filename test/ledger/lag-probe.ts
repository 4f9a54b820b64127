const INTERVAL_MS = 20;

/**
 * Counts how often a timer of 20 ms gets its turn while something runs: about 50 times a second, fewer on a busy machine,
 * and never while the event loop is held up.
 */
export async function ticksDuring(work: () => Promise<unknown>): Promise<number> {
  let ticks = 0;
  const probe = setInterval(() => (ticks += 1), INTERVAL_MS);
  try {
    await work();
  } finally {
    clearInterval(probe);
  }
  return ticks;
}
