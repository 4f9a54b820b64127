import { setTimeout as sleep } from 'node:timers/promises';
import { readBulkStatus } from '../engines/bulk/status.js';
import { ENDED_OUTCOMES, type BulkStatus } from '../core/contract.js';
import { ExitCode, UserError } from '../core/errors.js';
import { LedgerUnavailableError } from '../adapters/ledger/errors.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { progressLines, stateWords } from './bulk-words.js';
import { INTERRUPTED } from './interrupt.js';
import type { Output } from './output.js';

const POLL_MS = 500;
/** A look at a job of a million targets takes a while: so many times as long it is left alone then. */
const REST_PER_LOOK = 10;
/** The pace is that of show only the last N ms. */
const PACE_OVER_MS = 10_000;
/** Where lines can't be rewritten, mere numbers are told no more often than this, ms. */
const NUMBERS_EVERY_MS = 5_000;

/**
 * How the following ended. `over`: finished or aborted, and nothing of it is open any more. `stopped`: it went badly and paused
 * itself. `detached`: the person left.
 */
export interface Followed {
  readonly status: BulkStatus;
  readonly ending: 'over' | 'stopped' | 'detached';
}

/**
 * Follows a job in the ledger, and shows where it stands: rewritten in place where a person watches, else a line per change.
 *
 * @param onChange - told each new standing, the first one included
 */
export async function followJob(
  ledger: Ledger,
  planId: string,
  out: Output,
  signal: AbortSignal,
  onChange: (status: BulkStatus) => void = () => {},
): Promise<Followed> {
  const pace = createPace();
  const told = createTeller(out);
  let known: BulkStatus | null = null;
  let ledgerAway = false;
  for (;;) {
    const beganMs = performance.now();
    try {
      const status = await readStatus(ledger, planId);
      const changed = known === null || JSON.stringify(known) !== JSON.stringify(status);
      known = status;
      ledgerAway = false;
      if (changed) onChange(status);
      const ending = await endingOf(ledger, status, signal);
      if (ending !== null) {
        told.done();
        return { status, ending };
      }
      told.tell(status, pace.after(status));
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      if (signal.aborted) {
        told.done();
        if (known === null) throw error;
        return { status: known, ending: 'detached' };
      }
      if (!ledgerAway) out.say(`${error.message} Waiting for it.`);
      ledgerAway = true;
    }
    const restMs = Math.max(POLL_MS, REST_PER_LOOK * (performance.now() - beganMs));
    await sleep(restMs, undefined, { signal }).catch(() => {});
  }
}

async function readStatus(ledger: Ledger, planId: string): Promise<BulkStatus> {
  const job = await ledger.bulk.get(planId);
  if (job !== null) return readBulkStatus(ledger, job);
  throw new UserError(
    `The bulk plan ${planId} is not in the ledger any more.`,
    '`curfew bulk status` lists the plans.',
  );
}

async function endingOf(ledger: Ledger, status: BulkStatus, signal: AbortSignal): Promise<Followed['ending'] | null> {
  if (isOver(status)) return 'over';
  if (status.state === 'paused' && (await stoppedItself(ledger, status))) return 'stopped';
  return signal.aborted ? 'detached' : null;
}

/** Nothing of it is open any more: no request, no case. */
export const isOver = ({ state, progress }: BulkStatus): boolean =>
  (state === 'finished' || state === 'aborted') && progress.underWay === 0 && progress.openCases === 0;

/** Whether a paused job paused itself, because it went badly; else a person did. */
export async function stoppedItself(
  ledger: Pick<Ledger, 'history'>,
  { planId, appliedAt }: BulkStatus,
): Promise<boolean> {
  const pages = ledger.history.events({
    kinds: ['bulk-stopped', 'bulk-paused', 'bulk-resumed'],
    planId,
    last: 1,
    ...(appliedAt === null ? {} : { sinceMs: Date.parse(appliedAt) }),
  });
  let last: string | null = null;
  for await (const page of pages) last = page.at(-1)?.event.kind ?? last;
  return last === 'bulk-stopped';
}

/** Contract: 0 every target has ended, 3 it stopped itself, 5 some did not end; 130 the person left. */
export function followedExitCode({ status, ending }: Followed): number {
  if (ending === 'detached') return INTERRUPTED;
  if (ending === 'stopped') return ExitCode.refused;
  const ended = ENDED_OUTCOMES.reduce((sum, outcome) => sum + (status.progress.outcomes[outcome] ?? 0), 0);
  return ended === status.totals.targets ? ExitCode.done : ExitCode.someNotEnded;
}

/** How fast targets are taken up, from how the number of those that wait goes down. */
function createPace(): { after(status: BulkStatus): number | null } {
  const seen: { readonly atMs: number; readonly waiting: number }[] = [];
  return {
    after({ progress: { waiting }, state }) {
      if (state !== 'running') {
        seen.length = 0;
        return null;
      }
      const atMs = performance.now();
      seen.push({ atMs, waiting });
      while (seen.length > 2 && atMs - (seen[1]?.atMs ?? atMs) > PACE_OVER_MS) seen.shift();
      const [first] = seen;
      if (first === undefined || atMs - first.atMs < POLL_MS) return null;
      return Math.max(0, ((first.waiting - waiting) * 1_000) / (atMs - first.atMs));
    },
  };
}

function createTeller(out: Output): { tell(status: BulkStatus, perSecond: number | null): void; done(): void } {
  let standing = '';
  let numbers = '';
  let toldAtMs = -Infinity;
  return {
    tell(status, perSecond) {
      if (out.live) {
        out.redraw({ status, perSecond }, inPlace);
        return;
      }
      const now = JSON.stringify(status.progress);
      const stands = `${stateWords(status)} ${status.note} ${status.rate}`;
      const isDue = now !== numbers && performance.now() - toldAtMs >= NUMBERS_EVERY_MS;
      if (stands === standing && !isDue) return;
      out.show({ status, perSecond }, inOneLine);
      [standing, numbers, toldAtMs] = [stands, now, performance.now()];
    },
    // The result says all that these lines said.
    done: () => out.clear(),
  };
}

interface Progress {
  readonly status: BulkStatus;
  readonly perSecond: number | null;
}

const inPlace = ({ status, perSecond }: Progress): string =>
  [`${status.planId}  ${stateWords(status)}`, ...progressLines(status, { perSecond })].join('\n');

const inOneLine = ({ status, perSecond }: Progress): string =>
  [status.planId, stateWords(status), ...progressLines(status, { perSecond })].join('  ');
