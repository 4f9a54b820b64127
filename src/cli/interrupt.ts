import { words } from '../core/text/printable.js';
import { writeNews } from './output.js';

/** Exit code of a command that was interrupted, by the convention of shells. */
export const INTERRUPTED = 130;
/**
 * The minute after which a worker stops by force, and time to close what it had open, ms. Service managers are told to wait 90 s
 * before they kill it.
 */
export const WORKER_LEAVES_WITHIN_MS = 80_000;
/** What a command still does after Ctrl-C, such as taking back what it began, takes no longer than this, ms. */
const COMMAND_LEAVES_WITHIN_MS = 10_000;

let interrupted = false;

/**
 * Ctrl-C and its kin, as a signal. A second one ends the process at once, as people expect of a stuck command; so it ends by
 * itself when it takes too long.
 *
 * @param leaveWithinMs - from the first one on
 */
export function onInterrupt(leaveWithinMs = COMMAND_LEAVES_WITHIN_MS): {
  readonly signal: AbortSignal;
  dispose(): void;
} {
  const controller = new AbortController();
  let deadline: NodeJS.Timeout | undefined;
  const handler = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    interrupted = true;
    deadline = exitAfter(leaveWithinMs);
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, handler);
  return {
    signal: controller.signal,
    dispose: () => {
      clearTimeout(deadline);
      for (const signal of signals) process.off(signal, handler);
    },
  };
}

/** The command is done. When it was interrupted, no wait that somebody has forgotten keeps the process. */
export function leaveForSure(): void {
  if (interrupted) exitAfter(COMMAND_LEAVES_WITHIN_MS);
}

/** Keeps nothing alive itself. */
const exitAfter = (ms: number): NodeJS.Timeout =>
  setTimeout(() => {
    writeNews(words`curfew: still not done ${ms / 1_000} s after the signal to stop; exiting now.`);
    process.exit(process.exitCode ?? INTERRUPTED);
  }, ms).unref();
