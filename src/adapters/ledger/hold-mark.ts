import type { Ledger } from './ledger.js';
import type { Logger } from '../../platform/telemetry.js';
import { holdWords, PROBE_MS, type Hold } from '../vendor/hold.js';

/** There while the vendor holds back the requests of a worker, and longer where that worker died: its time tells. */
export const REQUESTS_HELD_META = 'requests-held';
/** There when a person wants to know at once whether it still does. */
const PROBE_WANTED_META = 'probe-wanted';
/** A hold that is over sooner is not worth a word, ms. */
const WORTH_TELLING_MS = 5_000;

/** What a worker left word of. Times are the ledger's clock, ms since the Unix epoch. */
export interface HoldMark extends Hold {
  /** Names the process whose requests are held. */
  readonly worker: string;
}

/** @returns null when no request is held, as far as the ledger knows. A mark whose time is over says nothing: its worker died */
export async function readHold({ meta, now }: Pick<Ledger, 'meta' | 'now'>): Promise<HoldMark | null> {
  const mark = parse(await meta.read(REQUESTS_HELD_META));
  // A worker that lives prolongs it or takes it away as soon as its probe is answered.
  return mark === null || (await now()) > mark.untilMs + PROBE_MS ? null : mark;
}

/** Has the next step of a case probe before the hold is over. */
export const wantProbe = ({ meta }: Pick<Ledger, 'meta'>): Promise<void> => meta.replace(PROBE_WANTED_META, 'yes');

/** @returns true for one caller */
export const takeWantedProbe = ({ meta }: Pick<Ledger, 'meta'>): Promise<boolean> => meta.drop(PROBE_WANTED_META);

/**
 * Leaves word in log, events and ledger that the vendor holds requests back: when a hold has lasted for some seconds or will,
 * and again when it is over. Once each, however often a probe is turned away meanwhile.
 */
export interface HoldTeller {
  /** To be called whenever the hold changes, with what it is now. Never throws, and writes in order. */
  readonly changed: (hold: Hold | null) => void;
  /** The worker stops: what it waited for says nothing any more. Settles when all is written. */
  close(): Promise<void>;
}

export function createHoldTeller(
  ledger: Pick<Ledger, 'meta' | 'now' | 'recordEvents'>,
  log: Pick<Logger, 'info' | 'warn'>,
  worker: string,
): HoldTeller {
  let told: Hold | null = null;
  let writing: Promise<void> = Promise.resolve();
  const write = (what: () => Promise<void>): void => {
    // What keeps the ledger away is told by who can't do without it.
    writing = writing.then(what).catch((error: unknown) => log.info({ err: error }, 'could not record a hold'));
  };

  return {
    changed,
    close() {
      if (told !== null) write(takeAway);
      told = null;
      return writing;
    },
  };

  function changed(hold: Hold | null): void {
    if (hold === null) {
      if (told === null) return;
      const heldMs = Date.now() - told.sinceMs;
      told = null;
      log.info({ heldMs }, 'the vendor answers again: requests leave');
      return write(() => release(heldMs));
    }
    if (hold.untilMs - hold.sinceMs < WORTH_TELLING_MS) return;
    const isNews = told === null;
    // A probe that was lost changes nothing that anybody wants to know.
    if (told !== null && Math.abs(hold.untilMs - told.untilMs) < 1_000) return;
    told = hold;
    const { operation, askedMs } = hold;
    const until = new Date(hold.untilMs).toISOString();
    log[isNews ? 'warn' : 'info'](
      { until, operation, askedMs, status: 429 },
      `${holdWords(hold)}; then one goes first`,
    );
    write(() => mark(hold, isNews));
  }

  async function mark(hold: Hold, isNews: boolean): Promise<void> {
    const { meta } = ledger;
    const text = await meta.read(REQUESTS_HELD_META);
    const other = parse(text);
    const offMs = (await ledger.now()) - Date.now();
    const mine: HoldMark = { ...hold, sinceMs: hold.sinceMs + offMs, untilMs: hold.untilMs + offMs, worker };
    // Of several workers the one that waits longest is shown.
    if (other === null || other.worker === worker || other.untilMs < mine.untilMs) {
      await meta.replace(REQUESTS_HELD_META, JSON.stringify(mine));
    }
    if (!isNews) return;
    const { operation, askedMs, untilMs } = mine;
    const data = { worker, status: 429, operation, retryAfterMs: askedMs, until: new Date(untilMs).toISOString() };
    await ledger.recordEvents([{ kind: 'requests-held', data }]);
  }

  async function takeAway(): Promise<void> {
    const { meta } = ledger;
    if (parse(await meta.read(REQUESTS_HELD_META))?.worker === worker) await meta.drop(REQUESTS_HELD_META);
    await meta.drop(PROBE_WANTED_META);
  }

  async function release(heldMs: number): Promise<void> {
    await takeAway();
    await ledger.recordEvents([{ kind: 'requests-released', data: { worker, heldMs } }]);
  }
}

/** Written by another version, it may have another form. */
function parse(text: string | null): HoldMark | null {
  if (text === null) return null;
  try {
    const mark = JSON.parse(text) as Partial<HoldMark>;
    const known = typeof mark.untilMs === 'number' && typeof mark.sinceMs === 'number' && mark.operation !== undefined;
    return known ? (mark as HoldMark) : null;
  } catch {
    return null;
  }
}
