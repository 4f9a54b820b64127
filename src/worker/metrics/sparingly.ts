export interface Sparing {
  /** An answer serves for so long, ms; a failure, too. */
  readonly freshMs: number;
  /** Whoever asks waits at most for so long, ms. */
  readonly patienceMs: number;
}

/** It took too long; the question goes on, and its answer serves whoever asks next. */
export class NoAnswerInTime extends Error {
  override readonly name = 'NoAnswerInTime';
}

/**
 * Asks one question at a time, however many want to know: several scrapers and probes cost no more than one, and a
 * question that hangs is not asked again and again.
 */
export function sparingly<T>(ask: () => Promise<T>, { freshMs, patienceMs }: Sparing): () => Promise<T> {
  let last: { readonly answer: Promise<T>; settledAt: number | null } | null = null;
  return async () => {
    if (last === null || (last.settledAt !== null && performance.now() - last.settledAt >= freshMs)) {
      const asked = { answer: ask(), settledAt: null as number | null };
      const settled = (): void => void (asked.settledAt = performance.now());
      asked.answer.then(settled, settled);
      last = asked;
    }
    return inTime(last.answer, patienceMs);
  };
}

async function inTime<T>(answer: Promise<T>, patienceMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NoAnswerInTime(`There was no answer within ${patienceMs} ms.`)), patienceMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
