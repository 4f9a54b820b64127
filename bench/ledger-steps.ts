import { Kysely } from 'kysely';
import type { LedgerDatabase } from '../src/adapters/ledger/schema.js';
import { LibsqlDialect } from '../src/adapters/ledger/sqlite.js';
import { spreadOf, type Spread } from './figures.js';
import type { ViolatorKind } from './fleet.js';
import type { Violation } from './judge.js';

/** Where the lag came from of those that were asked, ms. */
interface LagBySteps {
  /** Deadline to the order: waits for a look, looks, judges. */
  readonly toOrder: Spread | null;
  /** Order to the row of its first request: Temporal where a case sends it, and the gate. */
  readonly toPermit: Spread | null;
  /** That row to the arrival of the request. */
  readonly toRequest: Spread | null;
}

/** What the ledger says about the violators, with or without a workflow for each. */
export interface LedgerFigures {
  /** Orders by outcome; `none`: still open. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly lagByStepMs: {
    /** Turns that crossed `max_runtime` one after the other. */
    readonly runtime: LagBySteps;
    /** Those that crossed it within one second; null: there was no burst. */
    readonly burst: LagBySteps | null;
  };
}

/** Reads a SQLite ledger of this version or of another one near to it, and changes nothing in it. */
export async function ledgerFigures(path: string, violations: readonly Violation[]): Promise<LedgerFigures> {
  // Opened as it is: the ledger of another build keeps the tables that this build knows.
  const db = new Kysely<LedgerDatabase>({ dialect: new LibsqlDialect(path) });
  try {
    const orders = await db
      .selectFrom('orders')
      .leftJoin('outcomes', 'outcomes.order_id', 'orders.id')
      .select(['orders.session_id', 'orders.ordered_at', 'outcomes.outcome'])
      .orderBy('orders.ordered_at', 'desc')
      .execute();
    const requests = await db
      .selectFrom('requests')
      .select(['session_id', 'registered_at'])
      .where('status', '!=', 'withdrawn')
      .orderBy('registered_at', 'desc')
      .execute();
    // The latest come first, so the earliest is what stays.
    const orderedAt = new Map(orders.map((row) => [row.session_id, row.ordered_at]));
    const permittedAt = new Map(requests.map((row) => [row.session_id, row.registered_at]));
    const outcomes: Record<string, number> = {};
    for (const { outcome } of orders) outcomes[outcome ?? 'none'] = (outcomes[outcome ?? 'none'] ?? 0) + 1;
    const stepsOf = (kind: ViolatorKind): LagBySteps => {
      const steps = violations.flatMap((violation) => {
        const { sessionId, deadlineAt, askedAt } = violation;
        const [ordered, permitted] = [orderedAt.get(sessionId), permittedAt.get(sessionId)];
        if (violation.kind !== kind || ordered === undefined || permitted === undefined || askedAt === null) return [];
        return [{ toOrder: ordered - deadlineAt, toPermit: permitted - ordered, toRequest: askedAt - permitted }];
      });
      return {
        toOrder: spreadOf(steps.map(({ toOrder }) => toOrder)),
        toPermit: spreadOf(steps.map(({ toPermit }) => toPermit)),
        toRequest: spreadOf(steps.map(({ toRequest }) => toRequest)),
      };
    };
    const isBurst = violations.some(({ kind }) => kind === 'burst');
    return {
      outcomes,
      lagByStepMs: { runtime: stepsOf('over-runtime'), burst: isBurst ? stepsOf('burst') : null },
    };
  } finally {
    await db.destroy();
  }
}
