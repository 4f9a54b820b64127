import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';

/** How the last run of a cleanup came out, for `curfew cleanup list`. One per cleanup, in the ledger. */
export interface CleanupRun {
  /** Of the workflow's run, or of the command that ran it. */
  readonly runId: string;
  /** Ledger's clock, ISO 8601. */
  readonly at: string;
  /** The bulk job that it became; null: none. */
  readonly planId: string | null;
  /** For people: what it found, or why it did nothing. */
  readonly note: string;
}

const metaKey = (name: string): string => `cleanup-run/${name}`;

/** @returns null when none is known */
export async function readLastRun(ledger: Pick<Ledger, 'meta'>, name: string): Promise<CleanupRun | null> {
  const text = await ledger.meta.read(metaKey(name));
  return text === null ? null : (JSON.parse(text) as CleanupRun);
}

/** Notes a run, and records what is to be told of it: once, however often the run is tried. */
export async function noteRun(
  ledger: Pick<Ledger, 'meta' | 'now'>,
  name: string,
  run: Omit<CleanupRun, 'at'>,
  events: readonly EventToRecord[],
): Promise<void> {
  const noted: CleanupRun = { ...run, at: new Date(await ledger.now()).toISOString() };
  for (;;) {
    const before = await ledger.meta.read(metaKey(name));
    if (before !== null && (JSON.parse(before) as CleanupRun).runId === run.runId) return;
    // False: another run of the same cleanup was noted in between.
    if (await ledger.meta.swap(metaKey(name), before, JSON.stringify(noted), events)) return;
  }
}
