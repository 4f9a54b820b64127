import { AsyncLocalStorage } from 'node:async_hooks';
import type { Attribution, OrderReason, Outcome } from '../../core/contract.js';
import type { EventKind } from '../../core/events.js';
import type { OrderedBy } from '../../core/orders.js';

/** Something that a method of the ledger wrote, for those who count. It holds no text that anybody typed but the names of policies. */
export type News =
  | { readonly kind: 'order-opened'; readonly by: OrderedBy; readonly policy: string | null }
  | { readonly kind: 'order-settled'; readonly settled: SettledNews }
  | { readonly kind: 'event'; readonly event: EventKind };

export interface SettledNews {
  readonly by: OrderedBy;
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  /** Null: a target that its bulk job settled itself. */
  readonly reason: OrderReason | null;
  /** Vendor's clock, ms; null when the end was not seen. */
  readonly endedAtMs: number | null;
  readonly seen: SeenAtTheEnd | null;
}

/** What the read that settled an order showed besides. Nothing is stored of it. */
export interface SeenAtTheEnd {
  /** Time from the first accepted cancel request to that read, ms; null: none was accepted. */
  readonly confirmedAfterMs: number | null;
  /** Credits of the session's whole life, when the ordered turn was still its last one; null: not known. */
  readonly sessionCredits: number | null;
}

/** Hears what was written, after it is committed. What was rolled back is never told. */
export type Witness = (news: readonly News[]) => void;

/*
 * News is gathered per call of the ledger and not handed from function to function: it arises four calls deep, inside of
 * transactions that may still be rolled back, and is nobody's business on the way.
 */
const gathered = new AsyncLocalStorage<News[]>();

/** Whether anybody counts. What only the metrics need is not read otherwise. */
export const isWitnessed = (): boolean => gathered.getStore() !== undefined;

/** To be called where something is written. */
export function tell(news: News): void {
  gathered.getStore()?.push(news);
}

/**
 * A ledger, or a part of one, whose calls are witnessed. A call that fails tells nothing, even when a part of it was
 * committed before.
 */
export function witnessed<T extends object>(part: T, witness: Witness): T {
  const entries = Object.entries(part).map(([name, value]: [string, unknown]) => {
    if (typeof value === 'function') return [name, witnessedCall(value as Call, witness)] as const;
    return [name, typeof value === 'object' && value !== null ? witnessed(value, witness) : value] as const;
  });
  return Object.fromEntries(entries) as T;
}

type Call = (...args: unknown[]) => unknown;

const witnessedCall =
  (call: Call, witness: Witness): Call =>
  (...args) => {
    const news: News[] = [];
    const answer = gathered.run(news, () => call(...args));
    // Pages of the history come without a promise, and write nothing.
    if (!(answer instanceof Promise)) return answer;
    return answer.then((value: unknown) => {
      // It is committed: whatever counting does, it must not look as if it were not.
      try {
        if (news.length > 0) witness(news);
      } catch {
        // One number less.
      }
      return value;
    });
  };
