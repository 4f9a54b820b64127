import { setTimeout as sleep } from 'node:timers/promises';
import { PLAN_EXPIRES_MS, type BulkJob, type BulkTarget } from '../../adapters/ledger/bulk-plans.js';
import { isWorkerStopping } from '../../core/try-again.js';
import { retryAfterMs } from '../../core/policy/backoff.js';
import { meaningOf } from '../../core/policy/meaning.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { attemptTarget, attemptUnread, type Attempted } from './attempt.js';
import { judgeCanary, type Brake, type BrakeReason, type Fate } from '../../core/bulk/brake.js';
import { fatesOf } from './canary.js';
import { Conditions } from './conditions.js';
import { Confirming } from './confirming.js';
import type { RunContext, Unconfirmed } from './dependencies.js';
import { Endings } from './endings.js';
import { createPace, type Pace } from '../../core/pace.js';
import { Tasks } from '../../platform/tasks.js';

/** Targets read from the ledger at once. */
const PAGE = 1_000;
/** Targets whose end is not seen yet, at most: what confirms more slowly than it sends must not fill the memory. */
const MOST_IN_HAND = 20_000;
/** Tries through the gate, when the vendor answers others, before a case goes on with a target. */
const MOST_TRIES = 5;
/** Longer than that a canary is not waited for, when half of it is through, ms. */
const CANARY_PATIENCE_MS = 30_000;
/** Longer than it takes until the job's row is read again, ms. */
const NEWS_MS = 600;
const TICK_MS = 50;
/** A pause or another rate is noticed within that, ms. */
const LONGEST_SLEEP_MS = 250;

interface Tried {
  readonly target: BulkTarget;
  readonly tries: number;
  /** Monotonic, ms: when the vendor first answered 429 for it; left out: it has not. */
  readonly limitedAt?: number;
}

/**
 * Carries out a job: takes targets in their order, lets each pass the gate, sees that its turn ended, and hands over what did
 * not. Everything here is lost in a crash; the ledger has what is needed to go on.
 */
export class Carrying {
  readonly #run: RunContext;
  readonly #brake: Brake;
  readonly #stop: AbortSignal;
  readonly #pace: Pace;
  /** One that still waited for its turn when the worker stopped: its row says so, and another worker takes it up. */
  readonly #tasks = new Tasks({ counts: (error) => !isWorkerStopping(error) });
  readonly #conditions: Conditions;
  readonly #endings: Endings;
  readonly #confirming: Confirming;

  /** Next in line, the first one last. */
  #ahead: Tried[] = [];
  /** To be tried again, soonest first. */
  #retries: (Tried & { readonly dueAt: number })[] = [];
  #inCanary = false;
  #afterSeq = -1;
  #exhausted = false;
  #agentAtWork: string | null = null;
  #passing = 0;
  /** Numbers of the targets that are under way here; the rows of some still say that they wait. */
  readonly #inHand = new Set<number>();
  #ended = false;
  #stopping = false;

  /** @param stop - ends the work; what is under way is still finished */
  constructor(run: RunContext, brake: Brake, stop: AbortSignal) {
    this.#run = run;
    this.#brake = brake;
    this.#stop = stop;
    this.#pace = createPace(run.job().rate);
    this.#conditions = new Conditions(run, this.#pace);
    this.#endings = new Endings(run, this.#tasks, (seq, fate) => this.#through(seq, fate));
    this.#confirming = new Confirming(run, this.#tasks, this.#conditions, this.#endings);
    stop.addEventListener('abort', () => this.#tasks.wake(), { once: true });
  }

  /** The job's row was read. */
  jobChanged(job: BulkJob): void {
    this.#pace.set(job.rate);
  }

  /** Ends the work by a failure. The first one counts. */
  fail(error: unknown): void {
    this.#tasks.fail(error);
  }

  /** Takes up what an earlier run had under way. */
  confirm(item: Unconfirmed): void {
    this.#inHand.add(item.target.seq);
    this.#confirming.await(item);
  }

  /** Until nothing is under way any more. */
  finished(): Promise<void> {
    return this.#tasks.finished();
  }

  /**
   * Works until all targets are through, the job is halted and nothing is under way, or the time is up.
   *
   * @param canary - the targets that go first; null: the job is past that
   * @param endsAt - monotonic, ms
   */
  async work(canary: readonly BulkTarget[] | null, endsAt: number): Promise<'complete' | 'halted' | 'time-up'> {
    this.#ahead = (canary ?? []).map((target) => ({ target, tries: 0 }));
    const confirming = this.#keepConfirming();
    try {
      if (canary !== null) {
        this.#inCanary = true;
        const end = await this.#takeAll(endsAt);
        if (end !== 'complete') return end;
        await this.#judgeCanary();
        this.#inCanary = false;
      }
      return await this.#takeAll(endsAt);
    } finally {
      this.#ended = true;
      await confirming;
      await this.finished();
    }
  }

  /** The canary, or all that wait. */
  async #takeAll(endsAt: number): Promise<'complete' | 'halted' | 'time-up'> {
    let nothingLeftSince: number | null = null;
    for (;;) {
      this.#tasks.throwIfFailed();
      const now = this.#now();
      if (this.#stop.aborted || now >= endsAt) return 'time-up';
      if (this.#run.job().state !== 'running') {
        this.#letGoOfWaiting();
        if (this.#isIdle()) return 'halted';
        await this.#tasks.pause(TICK_MS);
        continue;
      }
      await this.#conditions.look();
      const { holdMs } = this.#conditions;
      if (holdMs > 0 || this.#stopping) {
        await this.#tasks.pause(Math.min(LONGEST_SLEEP_MS, Math.max(TICK_MS, holdMs)));
        continue;
      }
      const next = await this.#next(now);
      if (next === null) {
        nothingLeftSince ??= now;
        if (this.#isIdle() || (this.#inCanary && this.#canaryTakesLong(now - nothingLeftSince))) return 'complete';
        await this.#tasks.pause(TICK_MS);
        continue;
      }
      if (await this.#waitForPlace(endsAt)) this.#begin(next);
      else this.#ahead.push(next);
    }
  }

  #now(): number {
    return this.#run.clock.monotonic();
  }

  #isIdle(): boolean {
    const { waiting } = this.#endings;
    return this.#retries.length + waiting + this.#tasks.size === 0 && this.#confirming.isEmpty;
  }

  /** Never throws: what fails ends the work. */
  async #keepConfirming(): Promise<void> {
    while (!this.#ended && !this.#tasks.failed) {
      const isMoreToCome = !this.#inCanary && !this.#exhausted && this.#run.job().state === 'running';
      this.#confirming.begin(isMoreToCome ? this.#agentAtWork : null);
      this.#endings.beginCases();
      await sleep(TICK_MS);
    }
    this.#endings.beginCases();
  }

  // --- which target is next

  async #next(now: number): Promise<Tried | null> {
    const [soonest] = this.#retries;
    if (soonest !== undefined && soonest.dueAt <= now) {
      this.#retries.shift();
      return soonest;
    }
    const wantsMore = this.#ahead.length === 0 && !this.#inCanary && !this.#exhausted;
    if (wantsMore && this.#inHand.size < MOST_IN_HAND) await this.#readPage();
    return this.#ahead.pop() ?? null;
  }

  async #readPage(): Promise<void> {
    const inHandBefore = new Set(this.#inHand);
    const page = await this.#run.ledger.bulk.targets(this.#run.key.planId, {
      ...{ afterSeq: this.#afterSeq, statuses: ['waiting'], limit: PAGE },
    });
    this.#exhausted = page.length < PAGE;
    this.#afterSeq = page.at(-1)?.seq ?? this.#afterSeq;
    // One that was settled while the page was read may still wait in it.
    const isFree = ({ seq }: BulkTarget): boolean => !this.#inHand.has(seq) && !inHandBefore.has(seq);
    this.#ahead = page
      .filter(isFree)
      .map((target) => ({ target, tries: 0 }))
      .reverse();
  }

  /** Their rows say that they wait: whoever resumes finds them there. */
  #letGoOfWaiting(): void {
    for (const { target } of [...this.#ahead.splice(0), ...this.#retries.splice(0)]) this.#inHand.delete(target.seq);
  }

  /** @returns false when the job was halted, or the time was up, before its turn came */
  async #waitForPlace(endsAt: number): Promise<boolean> {
    const { rate } = this.#run.job();
    const goOn = (): boolean =>
      this.#run.job().state === 'running' &&
      !this.#stop.aborted &&
      !this.#stopping &&
      !this.#tasks.failed &&
      this.#now() < endsAt &&
      this.#conditions.holdMs === 0;
    const most = (): number => (this.#conditions.oneAtATime ? 1 : this.#run.concurrency);
    while (this.#passing >= most() && goOn()) await this.#tasks.pause(TICK_MS);
    const placeAt = this.#now() + this.#pace.next(this.#now());
    for (let wait = placeAt - this.#now(); wait > 0 && goOn(); wait = placeAt - this.#now()) {
      await sleep(Math.min(wait, LONGEST_SLEEP_MS));
      // At a slow rate the place may be far off, and a person's word that it go faster counts at once.
      if (this.#run.job().rate !== rate) break;
    }
    return goOn();
  }

  // --- through the gate

  #begin(tried: Tried): void {
    this.#passing += 1;
    this.#inHand.add(tried.target.seq);
    this.#agentAtWork = tried.target.agentId;
    let hasPlace = true;
    const leave = (): void => {
      if (!hasPlace) return;
      hasPlace = false;
      this.#passing -= 1;
      this.#tasks.wake();
    };
    this.#tasks.begin(async () => {
      try {
        await this.#pass(tried, leave);
      } finally {
        leave();
      }
    });
  }

  /** @param leave - gives up its place for the next one */
  async #pass(tried: Tried, leave: () => void): Promise<void> {
    // An accepted request is through the gate; only the ledger does not know yet. The next departure is written after that answer, or with
    // it, so few gather. One that tests whether the vendor is back is waited for to its end.
    const attempted = await this.#attempt(tried.target, () => {
      if (!this.#conditions.oneAtATime) leave();
    });
    switch (attempted.kind) {
      case 'confirm':
        if (attempted.works) this.#conditions.works();
        if (attempted.works && attempted.item.from === 'answered') this.#conditions.accepted();
        this.#confirming.await(attempted.item);
        break;
      case 'again':
        this.#retryAt(tried, attempted.afterMs);
        break;
      case 'exempt':
        this.#endings.settle(tried.target, 'waiting', { outcome: 'exempted', agentId: attempted.agentId });
        break;
      case 'failed':
        await this.#failed(tried, attempted.error);
        break;
      case 'paused':
        this.#conditions.switchedOff(attempted.reason);
        this.#ahead.push(tried);
        break;
      case 'stopped':
        // The row says so; what it says exactly is read in a moment.
        this.#conditions.hold(NEWS_MS);
        this.#ahead.push(tried);
        break;
    }
  }

  async #attempt(target: BulkTarget, accepted: () => void): Promise<Attempted> {
    // Without a read, what was planned long ago would end whatever runs now.
    const isYoung = this.#run.clock.wall() - target.seenAtMs < PLAN_EXPIRES_MS;
    try {
      return await (this.#run.job().fast && isYoung ? attemptUnread : attemptTarget)(this.#run, target, accepted);
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      return { kind: 'failed', error };
    }
  }

  async #failed(tried: Tried, error: SessionsError): Promise<void> {
    const { target } = tried;
    const { timing, random } = this.#run;
    const meaning = meaningOf(error, await this.#conditions.concernsAccount(error));
    if (meaning.kind === 'too-many') {
      await this.#limited(tried, error, meaning.asked);
    } else if (meaning.kind === 'account') {
      this.#retryAt(tried, 0);
    } else if (meaning.kind === 'refused' && meaning.lasts) {
      // One refusal settles nothing; a case sees whether it stays so.
      this.#conditions.works();
      await this.#endings.handOver(target, 'waiting', null, target.agentId, error);
    } else if (meaning.kind === 'not-found') {
      const turn = { key: target.turnKey, startedAtMs: target.turnStartedAtMs };
      const item = { target, agentId: target.agentId, turn, from: 'waiting', byList: null } as const;
      this.#confirming.await({ ...item, sinceAt: this.#now(), sightings: [] });
    } else {
      await this.#conditions.apiFailed(error);
      // What concerns everybody is not held against one target.
      const tries = tried.tries + (this.#conditions.apiIsAway ? 0 : 1);
      if (tries < MOST_TRIES)
        this.#retryAt({ target, tries }, retryAfterMs(error, tries + 1, timing.retryCapMs, random()));
      else await this.#endings.handOver(target, 'waiting', null, target.agentId, error);
    }
  }

  /** Too many requests pass. Where one session alone is turned away, and others are accepted, a case goes on with it. */
  async #limited(tried: Tried, error: SessionsError, asked: boolean): Promise<void> {
    const { timing, random } = this.#run;
    this.#conditions.tooFast(error);
    const afterMs = retryAfterMs(error, tried.tries + 1, timing.retryCapMs, random());
    if (!asked) return this.#retryAt(tried, afterMs);
    const limitedAt = tried.limitedAt ?? this.#now();
    const isAlone = this.#now() - limitedAt >= timing.refusedForMs && this.#conditions.acceptedSince(limitedAt);
    if (isAlone) return this.#endings.handOver(tried.target, 'waiting', null, tried.target.agentId, error);
    this.#retryAt({ ...tried, tries: tried.tries + 1, limitedAt }, afterMs);
  }

  #retryAt(tried: Tried, afterMs: number): void {
    const retry = { ...tried, dueAt: this.#now() + afterMs };
    const place = this.#retries.findIndex(({ dueAt }) => dueAt > retry.dueAt);
    this.#retries.splice(place === -1 ? this.#retries.length : place, 0, retry);
  }

  // --- whether to go on

  async #through(seq: number, fate: Fate | null): Promise<void> {
    this.#inHand.delete(seq);
    const reason = fate === null ? null : this.#brake.note(fate);
    if (reason !== null && !this.#stopping) await this.#stopItself(reason);
  }

  #canaryTakesLong(sinceMs: number): boolean {
    const { counts, canary } = this.#run.job();
    return sinceMs > CANARY_PATIENCE_MS && this.#passing === 0 && fatesOf(counts).length * 2 >= canary;
  }

  async #judgeCanary(): Promise<void> {
    const { book, ledger, key } = this.#run;
    await book.flushed();
    const reason = judgeCanary(fatesOf((await ledger.bulk.get(key.planId))?.counts ?? null));
    if (reason === null) await ledger.bulkRun.step(key, { step: 'main' });
    else await this.#stopItself(reason);
  }

  async #stopItself({ note, data }: BrakeReason): Promise<void> {
    this.#stopping = true;
    this.#brake.reset();
    await this.#run.ledger.bulkRun.step(this.#run.key, { step: 'stop', note, data });
    // Until its row has been read again.
    this.#conditions.hold(NEWS_MS);
    this.#stopping = false;
    this.#run.log.error({ plan: this.#run.key.planId, ...data }, `bulk job: ${note}`);
  }
}
