import type { SessionsError, SessionsOperation } from '../../src/adapters/vendor/index.js';
import { translate } from '../../src/adapters/vendor/failures.js';
import { SESSION } from './gate-harness.js';

/** An HTTP answer as some server gives it. */
export interface Answered {
  readonly status: number;
  /** Left out: the vendor's own JSON. */
  readonly body?: string;
  readonly code?: string;
  readonly retryAfter?: string;
}

/** What the client makes of an answer. */
export function failureFrom(operation: SessionsOperation, answered: Answered): SessionsError {
  const { status, code = `code_${status}`, retryAfter } = answered;
  const body = answered.body ?? JSON.stringify({ error: code, message: 'Refused.' });
  return translate(
    {
      type: 'ending',
      ending: {
        ...{ end: 'complete', sent: true, note: null, sentAt: 0, receivedAt: 0 },
        head: { status, date: undefined, retryAfter, location: undefined },
        body: new TextEncoder().encode(body),
      },
    },
    { operation, subject: SESSION, redact: (text) => text },
  );
}

export const statuses = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Ten minutes of each would take minutes: those that mean the same to every caller are alike, so the first and the last will do. */
export function sampled(operation: SessionsOperation, all: readonly number[]): number[] {
  const alike = new Map<string, number[]>();
  for (const status of all) {
    const { kind } = failureFrom(operation, { status });
    alike.set(kind, [...(alike.get(kind) ?? []), status]);
  }
  return [...alike.values()].flatMap((same) => [...new Set([same[0] ?? 0, same.at(-1) ?? 0])]);
}

/** Spreads waits as chance does, and the same in every run. */
export function chance(): () => number {
  let state = 12_345;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
}
