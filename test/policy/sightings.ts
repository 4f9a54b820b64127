import { missingSighting, type OrderedTurn, type Sighting } from '../../src/core/policy/sighting.js';
import type { Turn } from '../../src/core/policy/turn.js';

/** Vendor's time at which the ordered turn began, ms. */
export const STARTED_AT = Date.UTC(2026, 0, 5, 9, 0, 0);
const READ_AT = STARTED_AT + 600_000;

export const ORDERED: OrderedTurn = { key: 'ordered', startedAtMs: STARTED_AT };

/** A read that shows the ordered turn last, unless `other` says otherwise. */
export const saw = (state: string | null, other: Partial<Sighting> = {}): Sighting => ({
  missing: false,
  state,
  turnKey: ORDERED.key,
  turnStartedAtMs: ORDERED.startedAtMs,
  earlierTurns: [],
  atMs: READ_AT,
  ...other,
});

/** A read that shows a turn after the ordered one. */
export const sawNewer = (state: string | null, other: Partial<Sighting> = {}): Sighting =>
  saw(state, {
    turnKey: 'newer',
    turnStartedAtMs: STARTED_AT + 300_000,
    earlierTurns: [{ key: 'ordered', startedAtMs: STARTED_AT }],
    ...other,
  });

/** A read that lags behind: the ordered turn is not in it yet. */
export const sawOlder = (state: string | null): Sighting =>
  saw(state, { turnKey: 'older', turnStartedAtMs: STARTED_AT - 300_000 });

export const sawNothing = (): Sighting => missingSighting(READ_AT);

export const turn = (key: string, startedAtMs: number | null): Turn => ({ key, startedAtMs });
