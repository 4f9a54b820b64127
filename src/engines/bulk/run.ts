import type { BulkJob, BulkTarget } from '../../adapters/ledger/bulk-plans.js';
import { type RunKey } from '../../adapters/ledger/bulk-run.js';
import { RUN_LEASE_MS } from '../../adapters/ledger/leases.js';
import { UNREAD } from './attempt.js';
import { createBook, TakenOver } from './book.js';
import { createBrake } from '../../core/bulk/brake.js';
import { canaryOf } from './canary.js';
import { Carrying } from './carrying.js';
import type { BulkDependencies, RunContext, Unconfirmed } from './dependencies.js';
import { pauseUntil } from '../../platform/pause.js';

/** What the workflow does next. Plain data: it travels through Temporal. */
export type BulkStep =
  /** There is more to do: at once, or after a wait. */
  | { readonly next: 'again'; readonly afterMs: number }
  /** Paused: until somebody says otherwise. */
  | { readonly next: 'rest' }
  /** Finished or aborted, or there is no such job. */
  | { readonly next: 'over' };

export interface RunOptions {
  /** Aborted when this worker stops, or may not go on. */
  readonly stop: AbortSignal;
  /** How long to work before the workflow is asked again, ms. */
  readonly sliceMs: number;
  /** Called every half second with where the job stands. */
  readonly onProgress: (job: BulkJob) => void;
}

/** How often the job's row is read: a pause takes effect within that, and the lease is renewed by it. */
const LOOK_MS = 500;
/** What was left open is looked at again after this, ms. */
const LEFT_OPEN_MS = 1_000;

/**
 * Works on a bulk job for a while. All that it finds out is in the ledger before it counts, so that a crash repeats at most
 * the targets that were under way; those are looked at before anything else.
 *
 * @throws {LedgerUnavailableError} when the ledger is away; nothing is sent then
 */
export async function runBulk(deps: BulkDependencies, planId: string, options: RunOptions): Promise<BulkStep> {
  const taken = await deps.ledger.bulkRun.takeUp(planId, deps.worker);
  if (taken.kind === 'unknown') return { next: 'over' };
  if (taken.kind === 'held') return { next: 'again', afterMs: taken.retryInMs };
  const { key } = taken;
  let job = taken.job;
  if (job.state === 'building' || job.state === 'planned' || job.state === 'finished') {
    await deps.ledger.bulkRun.release(key);
    return { next: 'over' };
  }

  const book = createBook(deps.ledger, key);
  const run: RunContext = { ...deps, key, book, job: () => job };
  const over = new AbortController();
  const carrying = new Carrying(run, createBrake(), AbortSignal.any([options.stop, over.signal]));
  const endsAt = deps.clock.monotonic() + options.sliceMs;
  const looking = (async () => {
    while (!over.signal.aborted) {
      try {
        const now = await deps.ledger.bulkRun.renew(key);
        if (now === null) throw new TakenOver();
        job = now;
        carrying.jobChanged(now);
        options.onProgress(now);
      } catch (error) {
        carrying.fail(error);
        // Requests may still be under way, and the lease has to last as long as they do.
        if (error instanceof TakenOver) return;
      }
      await pauseUntil(LOOK_MS, over.signal);
    }
  })();
  let leftOpen = false;
  try {
    await resume(run, carrying);
    const canary = job.phase === 'canary' ? await canaryOf(deps.ledger, job) : null;
    const end = await carrying.work(canary, endsAt);
    await book.flushed();
    if (end === 'complete') leftOpen = !(await finish(deps, key));
  } catch (error) {
    // What a worker that was overtaken still wanted is for the other one to do.
    if (!(error instanceof TakenOver)) throw error;
    return { next: 'again', afterMs: RUN_LEASE_MS };
  } finally {
    await carrying.finished();
    over.abort();
    await looking;
    await deps.ledger.bulkRun.release(key).catch(() => {});
  }
  const last = await deps.ledger.bulk.get(planId);
  if (last?.state === 'aborted') await deps.ledger.bulk.giveUpCases(planId);
  switch (last?.state) {
    case 'running':
      return { next: 'again', afterMs: leftOpen ? LEFT_OPEN_MS : 0 };
    case 'paused':
      return { next: 'rest' };
    case 'aborted':
      // What was asked for is looked at to its end, and whoever waits is told of it.
      return isUnderWay(last) ? { next: 'again', afterMs: LEFT_OPEN_MS } : { next: 'over' };
    default:
      return { next: 'over' };
  }
}

/** Requests of the job were sent, and what became of them is not written yet. */
export function isUnderWay({ counts }: BulkJob): boolean {
  const { sent = 0, answered = 0 } = counts?.byStatus ?? {};
  return sent + answered > 0;
}

/** @returns false when there are targets without an end: a pause came between, and they are looked at anew */
async function finish({ ledger }: BulkDependencies, key: RunKey): Promise<boolean> {
  const counts = (await ledger.bulk.get(key.planId))?.counts;
  const { waiting = 0, sent = 0, answered = 0 } = counts?.byStatus ?? {};
  if (waiting + sent + answered > 0) return false;
  return ledger.bulkRun.step(key, { step: 'finish' });
}

const PAGE = 1_000;

/** Takes up the targets that an earlier run left between request and outcome. */
async function resume(run: RunContext, carrying: Carrying): Promise<void> {
  let afterSeq = -1;
  for (;;) {
    const page = await run.ledger.bulk.targets(run.key.planId, {
      ...{ afterSeq, statuses: ['sent', 'answered'], limit: PAGE },
    });
    await Promise.all(page.filter(({ status }) => status === 'sent').map((target) => answerUnknown(run, target)));
    for (const target of page) carrying.confirm(unconfirmed(run, target));
    if (page.length < PAGE) return;
    afterSeq = page.at(-1)?.seq ?? afterSeq;
  }
}

/** Its sender died after the request was let out: it may have had effect. */
const answerUnknown = (run: RunContext, { seq, sessionId, readAtMs }: BulkTarget): Promise<void> =>
  run.book.answer({
    ...{ seq, sessionId },
    answer: {
      answer: 'unknown',
      state: null,
      httpStatus: null,
      errorCode: 'sender_died',
      errorMessage: 'the worker died, or lost the ledger, while this request was under way',
      answeredAtMs: Math.round(run.vendorClock.now() ?? readAtMs ?? run.clock.wall()),
    },
  });

function unconfirmed(run: RunContext, target: BulkTarget): Unconfirmed {
  const { turnKey, turnStartedAtMs, agentId, status, answer, answerState } = target;
  const turn = turnKey === null ? UNREAD : { key: turnKey, startedAtMs: turnStartedAtMs };
  const confirmedByList = status === 'answered' && answer === 'accepted' && answerState === 'failed';
  return {
    ...{ target, agentId, turn, from: 'answered' },
    byList: confirmedByList ? 'request' : null,
    sinceAt: run.clock.monotonic(),
    sightings: [],
  };
}
