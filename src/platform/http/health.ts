/** Looks at one thing that Curfew can't work without. @returns null when it is well, otherwise why not, for people and without secrets */
type Check = () => Promise<string | null>;

export interface Health {
  /** Null: alive. */
  alive(): string | null;
  /** Empty: ready. */
  unready(): Promise<readonly string[]>;
  /** What slows a process down that is ready: nothing that another process, or a restart, would mend. */
  notes(): readonly string[];
}

/** What a process can do now. It begins with nothing, and is told as its parts come up. */
export interface HealthBook extends Health {
  /** Puts a check in the place of the one that had this name; a text stands for a check that says just that. */
  set(name: string, check: Check | string): void;
  /** @param note - what there is to say now; null: nothing */
  tell(note: () => string | null): void;
  /** From now on the process is on its way out: not ready, but alive. */
  stopping(): void;
  /** How to tell that this process can't do its work any more, until it is started again. */
  aliveWhile(alive: () => string | null): void;
}

export function createHealth(): HealthBook {
  const checks = new Map<string, Check>();
  const notes: (() => string | null)[] = [];
  let isStopping = false;
  let alive: () => string | null = () => null;
  return {
    set(name, check) {
      checks.set(name, typeof check === 'string' ? () => Promise.resolve(check) : check);
    },
    tell(note) {
      notes.push(note);
    },
    stopping() {
      isStopping = true;
    },
    aliveWhile(check) {
      alive = check;
    },
    alive: () => alive(),
    notes: () => notes.map((note) => note()).filter((note) => note !== null),
    async unready() {
      if (isStopping) return ['stopping'];
      const answers = await Promise.all([...checks.values()].map((check) => check()));
      return answers.filter((why) => why !== null);
    },
  };
}
