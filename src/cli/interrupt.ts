/** Exit code of a command that was interrupted, by the convention of shells. */
export const INTERRUPTED = 130;

/** Ctrl-C and its kin, as a signal. A second one ends the process at once, as people expect of a stuck command. */
export function onInterrupt(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const handler = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, handler);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const signal of signals) process.off(signal, handler);
    },
  };
}
