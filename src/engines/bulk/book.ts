import type {
  BulkAnswer,
  BulkDeparture,
  BulkRegistration,
  BulkSettlement,
  BulkWrites,
} from '../../adapters/ledger/bulk-writes.js';
import type { RunKey } from '../../adapters/ledger/bulk-run.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';

/** Another worker has taken up the job; what this one still knows is of no use any more. */
export class TakenOver extends Error {
  override readonly name = 'TakenOver';
  constructor() {
    super('Another worker has taken up the bulk job.');
  }
}

/** Writes of one job, gathered for some milliseconds and written together: a thousand targets a second are not a thousand commits. */
export interface Book {
  register(departure: BulkDeparture): Promise<BulkRegistration>;
  withdraw(target: { readonly seq: number; readonly sessionId: string }): Promise<void>;
  answer(answer: BulkAnswer): Promise<void>;
  settle(settlement: BulkSettlement): Promise<void>;
  /** Until all that was given is written. @throws what a write failed by */
  flushed(): Promise<void>;
}

/**
 * How long writes wait for others, ms, unless so many wait that a target under way waits for: a commit waits for the disk, and all of this
 * process with it. Far below the age at which a read is too old to act on.
 */
const GATHER_MS = 16;
const ENOUGH = 96;
/** A transaction longer than this would hold up other sessions' requests. */
const MOST_AT_ONCE = 400;

type Entry =
  | {
      readonly kind: 'departure';
      readonly item: BulkDeparture;
      readonly done: (registration: BulkRegistration) => void;
    }
  | { readonly kind: 'withdrawal'; readonly item: { seq: number; sessionId: string }; readonly done: () => void }
  | { readonly kind: 'answer'; readonly item: BulkAnswer; readonly done: () => void }
  | { readonly kind: 'settlement'; readonly item: BulkSettlement; readonly done: () => void };
type Waiting = Entry & { readonly fail: (error: unknown) => void };

const isPressing = ({ kind }: Entry): boolean => kind !== 'settlement';

/** Writes are in order, and one transaction at a time. The first that fails fails all after it: the run is over then. */
export function createBook(ledger: Pick<Ledger, 'bulkRun'>, key: RunKey): Book {
  let queue: Waiting[] = [];
  let writing: Promise<void> | null = null;
  let failure: { readonly error: unknown } | null = null;
  let enough = (): void => {};
  /** Entries in the queue that hold up a target on its way. An outcome holds up nothing. */
  let pressing = 0;

  const gather = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      enough = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const write = async (batch: readonly Waiting[]): Promise<void> => {
    const of = <K extends Entry['kind']>(kind: K) =>
      batch.filter((entry): entry is Extract<Waiting, { kind: K }> => entry.kind === kind);
    const departures = of('departure');
    const writes: BulkWrites = {
      answers: of('answer').map(({ item }) => item),
      withdrawals: of('withdrawal').map(({ item }) => item),
      settlements: of('settlement').map(({ item }) => item),
      departures: departures.map(({ item }) => item),
    };
    const written = await ledger.bulkRun.write(key, writes);
    if (written.kind === 'taken-over') throw new TakenOver();
    for (const [index, entry] of departures.entries()) entry.done(written.departures[index] ?? { kind: 'stopped' });
    for (const entry of batch) if (entry.kind !== 'departure') entry.done();
  };

  const drain = async (): Promise<void> => {
    await gather();
    while (queue.length > 0) {
      const batch = queue.slice(0, MOST_AT_ONCE);
      queue = queue.slice(MOST_AT_ONCE);
      pressing = queue.filter(isPressing).length;
      try {
        if (failure !== null) throw failure.error;
        await write(batch);
      } catch (error) {
        failure ??= { error };
        for (const entry of batch) entry.fail(error);
      }
      if (queue.length > 0 && queue.length < MOST_AT_ONCE && pressing < ENOUGH) await gather();
    }
    writing = null;
  };

  const put = <T>(make: (done: (value: T) => void) => Entry): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const entry = { ...make(resolve), fail: reject };
      queue.push(entry);
      if (isPressing(entry)) pressing += 1;
      writing ??= drain();
      if (pressing >= ENOUGH) enough();
    });

  return {
    register: (item) => put<BulkRegistration>((done) => ({ kind: 'departure', item, done })),
    withdraw: (item) => put<void>((done) => ({ kind: 'withdrawal', item, done })),
    answer: (item) => put<void>((done) => ({ kind: 'answer', item, done })),
    settle: (item) => put<void>((done) => ({ kind: 'settlement', item, done })),
    async flushed() {
      while (writing !== null) await writing;
      if (failure !== null) throw failure.error;
    },
  };
}
