import { usageAt } from './look.js';
import type { EndedBy, SessionRecord } from './session.js';

/**
 * A turn as limits count it, by what really happened: from one user message to the end of the turn, or to the next user
 * message when somebody steers it. All times are ms since the Unix epoch.
 */
export interface Stint {
  /** Id of the user message. */
  readonly key: string;
  readonly from: number;
  /** Null: it goes on. */
  readonly to: number | null;
  /** Null while it goes on. */
  readonly endedBy: EndedBy | 'steered' | null;
}

/** Limits on one turn: times in ms; null: no such limit. */
export interface TrueLimits {
  readonly max_runtime: number | null;
  readonly max_queue_time: number | null;
  readonly max_credits: number | null;
}

/** The moment at which a turn reached a limit. */
export interface Reached {
  readonly limit: keyof TrueLimits;
  readonly at: number;
}

/** Oldest first. */
export function stintsOf({ turns, messages }: SessionRecord): Stint[] {
  const sentAt = new Map(messages.map(({ id, at }) => [id, at]));
  return turns.flatMap(({ earlierKeys, key, createdAt, endedAt, endedBy }) => {
    const keys = [...earlierKeys, key];
    return keys.map((one, index): Stint => {
      const from = index === 0 ? createdAt : (sentAt.get(one) ?? createdAt);
      const next = keys[index + 1];
      if (next !== undefined) return { key: one, from, to: sentAt.get(next) ?? from, endedBy: 'steered' };
      return { key: one, from, to: endedAt, endedBy };
    });
  });
}

/** Time in `processing` between two moments, ms. */
const processedMs = ({ periods }: SessionRecord, from: number, to: number): number =>
  periods.reduce((sum, period) => sum + overlap(period.from, period.to ?? to, from, to), 0);

/** Time in `queued` between two moments, ms. */
const waitedMs = ({ transitions }: SessionRecord, from: number, to: number): number =>
  transitions.reduce(
    (sum, { state, at }, index) =>
      state === 'queued' ? sum + overlap(at, transitions[index + 1]?.at ?? to, from, to) : sum,
    0,
  );

/** Credits spent between two moments. */
const creditsSpent = (session: SessionRecord, from: number, to: number): number =>
  (usageAt(session, to)?.credits ?? 0) - (usageAt(session, from)?.credits ?? 0);

/**
 * When a turn first reached each of the limits, the earliest first.
 *
 * @param until - for turns that go on
 */
export function limitsReached(session: SessionRecord, stint: Stint, limits: TrueLimits, until: number): Reached[] {
  const measures: Record<keyof TrueLimits, (to: number) => number> = {
    max_runtime: (to) => processedMs(session, stint.from, to),
    max_queue_time: (to) => waitedMs(session, stint.from, to),
    max_credits: (to) => creditsSpent(session, stint.from, to),
  };
  const names: readonly (keyof TrueLimits)[] = ['max_runtime', 'max_queue_time', 'max_credits'];
  return names
    .flatMap((limit): Reached[] => {
      const most = limits[limit];
      const at = most === null ? null : firstAt(measures[limit], most, stint.from, stint.to ?? until);
      return at === null ? [] : [{ limit, at }];
    })
    .sort((a, b) => a.at - b.at);
}

/** The first ms at which something that only grows has reached an amount; null: not by then. */
function firstAt(measure: (at: number) => number, amount: number, from: number, to: number): number | null {
  if (to < from || measure(to) < amount) return null;
  let before = from - 1;
  let reached = to;
  while (reached - before > 1) {
    const middle = Math.floor((before + reached) / 2);
    if (measure(middle) >= amount) reached = middle;
    else before = middle;
  }
  return reached;
}

const overlap = (aFrom: number, aTo: number, bFrom: number, bTo: number): number =>
  Math.max(0, Math.min(aTo, bTo) - Math.max(aFrom, bFrom));
