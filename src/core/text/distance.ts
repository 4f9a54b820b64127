const UNITS = [
  [24 * 60 * 60_000, 'day'],
  [60 * 60_000, 'hour'],
  [60_000, 'minute'],
  [1_000, 'second'],
] as const;

/** How one clock stands to another, to be followed by the other one: "402 days ahead of", "3 seconds behind". @param ms - positive: ahead */
export function distance(ms: number): string {
  const [unitMs, unit] = UNITS.find(([unitMs]) => Math.abs(ms) >= 2 * unitMs) ?? [1_000, 'second'];
  const count = Math.round(Math.abs(ms) / unitMs);
  return `${count} ${unit}${count === 1 ? '' : 's'} ${ms < 0 ? 'behind' : 'ahead of'}`;
}
