/** A moment in ms since the Unix epoch as ISO 8601 in UTC; null stays null. */
export function iso(ms: number): string;
export function iso(ms: number | null): string | null;
export function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** ISO 8601 for people, who read no fractions of a second: "2026-01-05T12:00:00Z". */
export const wholeSeconds = (at: string): string => at.replace(/\.\d+Z$/, 'Z');
