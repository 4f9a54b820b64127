import { readBulkStatus } from '../engines/bulk/status.js';
import { type BulkStatus, ENDED_OUTCOMES } from '../core/contract.js';
import { ExitCode, UserError } from '../core/errors.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { follow } from './follow.js';
import { endWords, nextWords, progressLines, stateWords } from './bulk-words.js';
import { INTERRUPTED, onInterrupt } from './interrupt.js';
import type { Output } from './output.js';

const POLL_MS = 500;
/** A look at a job of a million targets takes a while: so many times as long it is left alone then. */
const REST_PER_LOOK = 10;
/** The pace is that of the last so many ms. */
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
  let known = '';
  let ending: Followed['ending'] | null = null;
  const onSeen = async (status: BulkStatus): Promise<boolean> => {
    const news = JSON.stringify(status);
    if (news !== known) onChange(status);
    known = news;
    ending = await endingOf(ledger, status);
    if (ending === null && !signal.aborted) told.tell(status, pace.after(status));
    return ending !== null;
  };
  try {
    const options = { out, signal, everyMs: POLL_MS, restPerLook: REST_PER_LOOK, onSeen };
    const status = await follow(() => readStatus(ledger, planId), options);
    return { status, ending: ending ?? 'detached' };
  } finally {
    told.done();
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

async function endingOf(ledger: Ledger, status: BulkStatus): Promise<Followed['ending'] | null> {
  if (isOver(status)) return 'over';
  return status.state === 'paused' && (await stoppedItself(ledger, status)) ? 'stopped' : null;
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

/**
 * Follows a job until it is over, stops itself, or the person leaves, and says how it ended.
 *
 * @param lines - with `--json`: a line per change, instead of one document at the end
 * @returns the exit code
 */
export async function followAndTell(
  ledger: Ledger,
  planId: string,
  out: Output,
  { lines }: { readonly lines: boolean },
): Promise<number> {
  const interrupt = onInterrupt();
  const asLines = lines && out.json;
  try {
    const followed = await followJob(ledger, planId, out, interrupt.signal, (status: BulkStatus) => {
      if (asLines) out.result(status, null, () => '');
    });
    const { status } = followed;
    if (asLines) tellAside(out, followed);
    else if (out.json) {
      tellAside(out, followed);
      out.result(status, null, () => '');
    } else out.result(status, followed, endingWords);
    return followedExitCode(followed);
  } finally {
    interrupt.dispose();
  }
}

/** Where stdout holds JSON alone. */
function tellAside(out: Output, followed: Followed): void {
  if (followed.ending !== 'over') out.show(followed, endingWords);
}

function endingWords({ status, ending }: Followed): string {
  const nowMs = Date.now();
  switch (ending) {
    case 'over':
      return endWords(status);
    case 'stopped':
      return [`${status.planId} stopped itself: ${status.note ?? 'it went badly'}`, nextWords(status, nowMs)].join(
        '\n',
      );
    case 'detached':
      return [`Stopped following; ${status.planId} continues.`, nextWords(status, nowMs)].join('\n');
  }
}
