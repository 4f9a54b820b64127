/** Spread of some durations, ms; null where there was none. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  // Nearest rank: a value that was really measured.
  const rank = (share: number): number => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  return { count: sorted.length, p50: rank(0.5), p99: rank(0.99), max: rank(1) };
}

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

/** @returns null where it can't be told */
export const ratio = (ours: number | null | undefined, theirs: number | null | undefined): number | null =>
  ours == null || theirs == null || ours === 0 ? null : round(theirs / ours);

/** A design goal beside what was measured. */
export interface Goal {
  readonly goal: string;
  readonly measured: number | null;
  /** Null: not measured, or the run was not at the point that the goal is for. */
  readonly met: boolean | null;
}

/** @returns null where there is none */
export function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : round(values.reduce((sum, value) => sum + value, 0) / values.length);
}

/** @returns the upper one of the middle two; null where there is none, or one is not known */
export function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null).toSorted((a, b) => a - b);
  return known.length < values.length ? null : (known[Math.floor(known.length / 2)] ?? null);
}

export const atMost = (goal: string, most: number, measured: number | null, applies = true): Goal => ({
  goal,
  measured,
  met: measured === null || !applies ? null : measured <= most,
});

export const atLeast = (goal: string, least: number, measured: number | null, applies = true): Goal => ({
  goal,
  measured,
  met: measured === null || !applies ? null : measured >= least,
});

export const megabytes = (bytes: number | null): number | null => (bytes === null ? null : round(bytes / 2 ** 20, 0));
