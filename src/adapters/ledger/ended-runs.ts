import type { Ledger } from './ledger.js';
import type { Logger } from '../../platform/telemetry.js';

/** A session that a trigger started. */
export interface TriggerRun {
  readonly sessionId: string;
  readonly agentId: string;
  readonly triggerId: string;
}

/** What is remembered of a trigger of which runs were ended. One per trigger, in the ledger. Times are its clock, ms. */
export interface EndedRuns {
  readonly agentId: string;
  readonly triggerId: string;
  /** The last sessions whose end was asked for, oldest first, each once. */
  readonly sessions: readonly { readonly id: string; readonly atMs: number }[];
  /** The trigger is to be looked at after the first of its runs that ended since the last look; null: after none. */
  readonly lookFromMs: number | null;
  /** Until then a worker is at it. */
  readonly claimedUntilMs: number;
  /** Found off, and told. */
  readonly toldOff: boolean;
}

const PREFIX = 'trigger/';
/** Sessions remembered of one trigger. More than any trigger's `max_failures` that was seen. */
const REMEMBERED = 20;
/** After so long without another end they do not make one row any more, ms: a week. */
export const FORGOTTEN_AFTER_MS = 7 * 24 * 60 * 60_000;
/** Other workers write the same at the same time. */
const TRIES = 20;

type MetaLedger = Pick<Ledger, 'meta' | 'now'>;

const keyOf = ({ agentId, triggerId }: Pick<TriggerRun, 'agentId' | 'triggerId'>): string =>
  `${PREFIX}${encodeURIComponent(agentId)}/${encodeURIComponent(triggerId)}`;

/** Never fails: what can't be noted costs a warning about a trigger, and must not hold up the end of a session. */
export function noteEndedRuns(ledger: MetaLedger, log: Logger): (run: TriggerRun) => Promise<void> {
  // One by one: a bulk job ends many runs of one trigger at once, and all are noted in one place.
  let last = Promise.resolve();
  return (run) =>
    (last = last
      .then(() => note(ledger, run))
      .catch((error: unknown) => {
        log.warn({ ...run, err: error }, 'could not note that a run of a trigger was ended');
      }));
}

async function note(ledger: MetaLedger, { sessionId, agentId, triggerId }: TriggerRun): Promise<void> {
  const key = keyOf({ agentId, triggerId });
  for (let tries = 0; tries < TRIES; tries += 1) {
    const text = await ledger.meta.read(key);
    const before = text === null ? null : (JSON.parse(text) as EndedRuns);
    const atMs = await ledger.now();
    // Another attempt at the same session is not another run, but perhaps the one that ended it.
    const others = stillInRow(before, atMs).filter(({ id }) => id !== sessionId);
    const after: EndedRuns = {
      agentId,
      triggerId,
      sessions: [...others, { id: sessionId, atMs }].slice(-REMEMBERED),
      lookFromMs: before?.lookFromMs ?? atMs,
      claimedUntilMs: before?.claimedUntilMs ?? 0,
      toldOff: before?.toldOff ?? false,
    };
    if (await ledger.meta.swap(key, text, JSON.stringify(after), [])) return;
  }
  throw new Error('others wrote it at the same time, again and again');
}

/** Sessions that may make one row of failures. That a run between them went well is not seen. */
export const stillInRow = (runs: EndedRuns | null, nowMs: number): EndedRuns['sessions'] =>
  (runs?.sessions ?? []).filter(({ atMs }) => atMs > nowMs - FORGOTTEN_AFTER_MS);

/** Of all triggers, with the text that a change has to give back. */
export async function readEndedRuns(
  ledger: Pick<Ledger, 'meta'>,
): Promise<{ readonly key: string; readonly text: string; readonly runs: EndedRuns }[]> {
  const rows = await ledger.meta.under(PREFIX);
  return rows.map(({ key, value }) => ({ key, text: value, runs: JSON.parse(value) as EndedRuns }));
}
