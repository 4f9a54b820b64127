/** What a scan of the fleet saw counts for so long, ms, or for so many scans: whichever is longer. */
const COUNTS_FOR_MS = 120_000;
const COUNTS_FOR_SCANS = 4;

/** @param scanMs - time between two scans, ms; 0: not known */
export const scanCountsForMs = (scanMs: number): number => Math.max(COUNTS_FOR_MS, COUNTS_FOR_SCANS * scanMs);

/** Whether a scan still tells what the fleet is. @param endedAtMs - null: there was none */
export const isRecent = (endedAtMs: number | null, scanMs: number, nowMs: number): endedAtMs is number =>
  endedAtMs !== null && nowMs - endedAtMs <= scanCountsForMs(scanMs);

/** Whether a worker is scanning. People are told that none is before its last scan stops to count. */
export const isScanning = (
  { atMs, scanMs, durationMs }: { readonly atMs: number; readonly scanMs: number; readonly durationMs: number },
  nowMs: number,
): boolean => nowMs - atMs <= COUNTS_FOR_SCANS * scanMs + durationMs;
