import { setTimeout as sleep } from 'node:timers/promises';
import { doubled } from '../core/policy/backoff.js';
import type { UserError } from '../core/errors.js';

/** How long to try, and who is told meanwhile. */
export interface RetryOptions {
  /** Keep trying for so long, ms; 0 is one attempt. What waiting can't change fails at once all the same. */
  readonly retryForMs?: number;
  /** Called before each further attempt. */
  readonly onRetry?: (retry: { error: UserError; attempt: number; waitMs: number }) => void;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/** What a failed attempt means: what to throw in the end, and whether waiting may help. */
export type Explained =
  { readonly retryable: true; readonly error: UserError } | { readonly retryable: false; readonly error: unknown };

const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 5_000;

/**
 * Tries until it works, with waits that double from 250 ms to 5 s.
 *
 * @param explain - puts what an attempt threw into words
 * @throws what `explain` made of the last failure; the signal's reason (an AbortError) once that is aborted
 */
export async function retrying<T>(
  { retryForMs = 0, onRetry, signal }: RetryOptions,
  attemptOnce: () => Promise<T>,
  explain: (cause: unknown) => Explained,
): Promise<T> {
  const began = performance.now();
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await attemptOnce();
    } catch (cause) {
      const explained = explain(cause);
      const waitMs = doubled(FIRST_WAIT_MS, attempt - 1, MAX_WAIT_MS);
      if (!explained.retryable || performance.now() - began + waitMs > retryForMs) throw explained.error;
      onRetry?.({ error: explained.error, attempt, waitMs });
      await sleep(waitMs, undefined, signal && { signal });
    }
  }
}
