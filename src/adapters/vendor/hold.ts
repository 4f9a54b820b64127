import { SessionsError } from './errors.js';
import type { FinishedRequest, SessionsOperation } from './index.js';
import { doubled, honouredMs, LONGEST_HOLD_MS } from '../../core/policy/backoff.js';
import type { Clock } from '../../platform/clock.js';
import { isUrgent, type Urgency } from './urgency.js';

/** After a 429 without `Retry-After`, ms; doubled each time that a probe is turned away as well. */
const FIRST_HOLD_MS = 1_000;
/** A probe that has no answer by then makes way for another one, ms. */
export const PROBE_MS = 5_000;
/** A person's order may probe before the hold is over, but not sooner after the last 429 or probe than this, ms. */
export const EARLY_PROBE_MS = 10_000;

/** The vendor answered 429, so nothing leaves for a while. Times are our wall clock, ms since the Unix epoch. */
export interface Hold {
  /** When it answered 429 first. */
  readonly sinceMs: number;
  /** When one request may leave, to see whether it still does. */
  readonly untilMs: number;
  /** What was turned away last. */
  readonly operation: SessionsOperation;
  /** `Retry-After` of that answer; null: it named no time. */
  readonly askedMs: number | null;
}

/** "held until …", for people; without ids, because it is told to whoever may read metrics. */
export function holdWords({ untilMs, operation, askedMs }: Hold): string {
  const until = `${new Date(untilMs).toISOString().slice(0, 19)}Z`;
  const asked = askedMs === null ? 'named no time' : `asked to wait ${Math.ceil(askedMs / 1_000)} s`;
  return `requests are held until ${until}: the vendor answered ${operation} with 429 (too many requests) and ${asked}`;
}

/** Whoever lists is patient. */
const ON_ONE_SESSION: ReadonlySet<SessionsOperation> = new Set<SessionsOperation>(['retrieveSession', 'cancelSession']);

/** A request that was not sent, because the vendor answered 429 to another one. */
export class HeldError extends SessionsError {
  constructor(
    readonly hold: Hold,
    /** Until it is worth another try, whole ms. */
    override readonly retryAfterMs: number,
  ) {
    super('rate-limited', { operation: hold.operation, sent: false });
    this.message = holdWords(hold);
  }
}

/**
 * What the vendor's 429 mean for all requests of a process: for as long as it asks, {@link LONGEST_HOLD_MS} at most, none
 * leaves. Then one goes as a probe. When it is answered with anything but 429 the hold is over; otherwise it begins anew.
 *
 * Where the vendor turns lists away for ever, and would answer a read, a list must not be the probe again and again. So if what
 * is urgent was turned away, a probe that is not has to wait {@link PROBE_MS} longer, in which the urgent one comes back.
 *
 * It knows a probe's answer by its time: what was sent before the probe left says nothing.
 */
export interface VendorHold {
  /** Null: requests may leave. */
  state(): Hold | null;
  /** Until one of this urgency may leave, in whole ms, as the ledger stores times; 0: now. */
  waitMs(urgency: Urgency): number;
  /** Of all that the vendor turned away since the hold began, none was about a single session. */
  isOnlyOfLists(): boolean;
  /** A person's request need not wait for the end of the hold. */
  mayProbeEarly(): boolean;
  /** One of this urgency was not let out, and not kept waiting. */
  sentAway(urgency: Urgency): void;
  /** One leaves that had to wait for the hold, if there is one. */
  leave(): void;
  /** How a request went. */
  heard(request: FinishedRequest): void;
}

/** @param onChange - called when a hold begins, when it is prolonged, when a probe is lost, and when it is over */
export function createHold(clock: Clock, onChange: () => void): VendorHold {
  // Monotonic times, ms.
  let held: {
    readonly sinceAt: number;
    untilAt: number;
    refusedAt: number;
    probeAt: number | null;
    probes: number;
    operation: SessionsOperation;
    askedMs: number | null;
    onlyLists: boolean;
    /** Something urgent was turned away since the last probe left. */
    urgentComesBack: boolean;
  } | null = null;

  function turnedAway(error: SessionsError, isProbe: boolean): void {
    const now = clock.monotonic();
    held ??= {
      ...{ sinceAt: now, untilAt: now, refusedAt: now, probeAt: null, probes: 0 },
      ...{ operation: error.operation, askedMs: null, onlyLists: true, urgentComesBack: false },
    };
    if (isProbe) {
      held.probes += 1;
      held.probeAt = null;
    }
    const growing = doubled(FIRST_HOLD_MS, held.probes, LONGEST_HOLD_MS);
    const holdMs = Math.max(honouredMs(error), held.probes > 0 || error.retryAfterMs === null ? growing : 0);
    held.untilAt = Math.max(held.untilAt, now + holdMs);
    held.refusedAt = now;
    held.operation = error.operation;
    held.askedMs = error.retryAfterMs;
    if (ON_ONE_SESSION.has(error.operation)) {
      held.onlyLists = false;
      held.urgentComesBack = true;
    }
    onChange();
  }

  return {
    state() {
      if (held === null) return null;
      const wall = clock.wall() - clock.monotonic();
      const { sinceAt, untilAt, operation, askedMs } = held;
      return { sinceMs: Math.round(wall + sinceAt), untilMs: Math.round(wall + untilAt), operation, askedMs };
    },
    waitMs(urgency) {
      if (held === null) return 0;
      const { untilAt, probeAt, urgentComesBack } = held;
      const ownAt = untilAt + (urgentComesBack && !isUrgent(urgency) ? PROBE_MS : 0);
      const mayLeaveAt = Math.max(ownAt, probeAt === null ? -Infinity : probeAt + PROBE_MS);
      return Math.max(0, Math.ceil(mayLeaveAt - clock.monotonic()));
    },
    mayProbeEarly: () =>
      held !== null && clock.monotonic() - Math.max(held.refusedAt, held.probeAt ?? -Infinity) >= EARLY_PROBE_MS,
    isOnlyOfLists: () => held?.onlyLists ?? false,
    sentAway(urgency) {
      if (held !== null && isUrgent(urgency)) held.urgentComesBack = true;
    },
    leave() {
      if (held === null) return;
      held.probeAt = clock.monotonic();
      held.urgentComesBack = false;
    },
    heard({ sentAt, error }) {
      const isProbe = held?.probeAt != null && sentAt >= held.probeAt;
      if (error?.kind === 'rate-limited') return turnedAway(error, isProbe);
      if (held === null || !isProbe) return;
      // Without any answer nothing is known, and another one may ask.
      if (error === null || error.status !== null) held = null;
      else held.probeAt = null;
      onChange();
    },
  };
}
