import type { Printable } from '../core/text/printable.js';

/** Text that is rewritten in place. */
export interface LiveArea {
  /** Takes the place of what it showed before. */
  show(text: Printable): void;
  /** Takes away what it showed. */
  clear(): void;
  /** What it showed stays. */
  done(): void;
}

type Area = Awaited<ReturnType<typeof load>>;

const load = async (stream: 'stdout' | 'stderr') => {
  const { default: onStdout, logUpdateStderr } = await import('log-update');
  return stream === 'stdout' ? onStdout : logUpdateStderr;
};

/** What rewrites is loaded with the first text: most commands never do. Until it is there, the newest text waits for it. */
export function liveArea(stream: 'stdout' | 'stderr'): LiveArea {
  let loaded: Area | null = null;
  let loading = false;
  let waiting: Printable | null = null;
  const begin = async (): Promise<void> => {
    loaded = await load(stream);
    if (waiting !== null) loaded(waiting);
    waiting = null;
  };
  return {
    show(text) {
      if (loaded !== null) return loaded(text);
      waiting = text;
      if (!loading) void begin();
      loading = true;
    },
    clear() {
      waiting = null;
      loaded?.clear();
    },
    done() {
      if (waiting !== null) process[stream].write(`${waiting}\n`);
      waiting = null;
      loaded?.done();
    },
  };
}
