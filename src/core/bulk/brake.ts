import { ENDED_OUTCOMES, type Outcome } from '../contract.js';

/** What became of one target, as far as the job itself brings it. A case: the first request did not end it. */
export type Fate = Outcome | 'case';

/** Why a job stops itself; for people. */
export interface BrakeReason {
  readonly note: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** More than this share of the canary that did not end is a bad sign. */
const CANARY_SHARE = 1 / 3;
/** In the main run: of so many targets in a row, more than half. */
const WINDOW = 100;
const LEAST_SEEN = 50;
const MAIN_SHARE = 1 / 2;

/** Did it go as whoever planned it would expect? Exempt sessions are left alone on purpose. */
const isGood = (fate: Fate): boolean => fate !== 'case' && (fate === 'exempted' || ENDED_OUTCOMES.includes(fate));

/**
 * Stops a job that goes badly before it has gone through all its targets: when a vendor's outage makes each request fail,
 * or a key without rights gets each refused, a hundred thousand attempts are no better than a hundred.
 */
export interface Brake {
  /** One target is through. @returns why to stop; null: go on */
  note(fate: Fate): BrakeReason | null;
  /** After a person has looked and let it go on. */
  reset(): void;
}

export function createBrake(): Brake {
  let fates: Fate[] = [];
  return {
    note(fate) {
      fates.push(fate);
      if (fates.length > WINDOW) fates.shift();
      const bad = fates.filter((one) => !isGood(one)).length;
      if (fates.length < LEAST_SEEN || bad <= fates.length * MAIN_SHARE) return null;
      return reasonOf(`${bad} of the last ${fates.length} sessions did not end by their request`, fates);
    },
    reset() {
      fates = [];
    },
  };
}

/** @param fates - of all targets of the canary */
export function judgeCanary(fates: readonly Fate[]): BrakeReason | null {
  const bad = fates.filter((fate) => !isGood(fate)).length;
  if (bad <= fates.length * CANARY_SHARE) return null;
  return reasonOf(`of the ${fates.length} sessions that went first, ${bad} did not end by their request`, fates);
}

function reasonOf(what: string, fates: readonly Fate[]): BrakeReason {
  const counts: Record<string, number> = {};
  for (const fate of fates) counts[fate] = (counts[fate] ?? 0) + 1;
  return { note: `Stopped by itself: ${what}.`, data: { fates: counts } };
}
