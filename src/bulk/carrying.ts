import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../contract.js';
import { PLAN_EXPIRES_MS, type BulkJob, type BulkTarget, type TargetStatus } from '../ledger/bulk-plans.js';
import type { EventToRecord } from '../ledger/ledger.js';
import { backoffMs } from '../policy/backoff.js';
import type { OrderedTurn } from '../policy/sighting.js';
import { SessionsError } from '../sessions/index.js';
import { attemptTarget, attemptUnread, orderErrorOf, type Attempted } from './attempt.js';
import { TakenOver } from './book.js';
import { judgeCanary, type Brake, type BrakeReason, type Fate } from './brake.js';
import { fatesOf } from './canary.js';
import { confirmByList, confirmByRead, type SettledOutcome } from './confirm.js';
import type { RunContext, Unconfirmed } from './dependencies.js';
import { createPace, type Pace } from './pace.js';
import { planList, type AgentGroup } from './waiting-room.js';

/** Targets read from the ledger at once. */
const PAGE = 1_000;
/** Tries through the gate, when the vendor answers others, before a case goes on with a target. */
const MOST_TRIES = 5;
const MOST_LOOKS_FAILED = 8;
/** So many failures in a row, and none that worked, are about the API and not about a target. */
const API_AWAY = 10;
const LONGEST_HOLD_MS = 30_000;
const LISTS_AT_ONCE = 4;
const READS_AT_ONCE = 16;
const JOINS_AT_ONCE = 5;
const JOIN_PATIENCE_MS = 10_000;
/** A list that failed is asked for again after so long per failure, ms. */
const LIST_RETRY_MS = 2_000;
/** Longer than that a canary is not waited for, when half of it is through, ms. */
const CANARY_PATIENCE_MS = 30_000;
const TICK_MS = 50;
/** Targets whose end is not seen yet, at most: what confirms more slowly than it sends must not fill the memory. */
const MOST_IN_HAND = 20_000;
/** Longer than it takes until the job's row is read again, ms. */
const NEWS_MS = 600;
/** A session is refused for its own sake when another one was accepted so short a time ago, ms. */
const ACCEPTED_LATELY_MS = 10 * 60_000;
/** How often the pause switch is read while it is on, ms. */
const SWITCH_LOOK_MS = 500;

interface Tried {
  readonly target: BulkTarget;
  readonly tries: number;
}

interface Looking {
  readonly item: Unconfirmed;
  readonly dueAt: number;
  readonly failures: number;
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
  #wake = (): void => {};
  #failure: { readonly error: unknown } | null = null;
  #ended = false;

  /** Next in line. */
  #ahead: Tried[] = [];
  /** To be tried again, soonest first. */
  #retries: (Tried & { readonly dueAt: number })[] = [];
  #afterSeq = -1;
  #exhausted = false;
  #agentAtWork: string | null = null;
  #passing = 0;
  /** Numbers of the targets that are under way here; the rows of some still say that they wait. */
  readonly #inHand = new Set<number>();
  readonly #tasks = new Set<Promise<void>>();

  readonly #groups = new Map<string, AgentGroup>();
  #looks: Looking[] = [];
  #listing = 0;
  #reading = 0;
  #joining = 0;
  readonly #joins: { readonly sessionId: string; readonly orderId: string }[] = [];

  /** Failures of the API since something worked. */
  #troubles = 0;
  /** Monotonic, ms: when a cancel request was accepted last. */
  #acceptedAt = -Infinity;
  #hold: { readonly until: number; readonly note: string | null } = { until: -Infinity, note: null };
  #noted: string | null = null;
  /** The pause switch of all of Curfew was met. */
  #switchedOff = false;
  #stopping = false;

  /** @param stop - ends the work; what is under way is still finished */
  constructor(run: RunContext, brake: Brake, stop: AbortSignal) {
    this.#run = run;
    this.#brake = brake;
    this.#stop = stop;
    this.#pace = createPace(run.job().rate);
    stop.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** The job's row was read. */
  jobChanged(job: BulkJob): void {
    this.#pace.set(job.rate);
  }

  /** Ends the work by a failure. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** Takes up what an earlier run had under way. */
  confirm(item: Unconfirmed): void {
    this.#inHand.add(item.target.seq);
    this.#awaitConfirmation(item);
  }

  /**
   * Works until all targets are through, the job is halted and nothing is under way, or the time is up.
   *
   * @param canary - the targets that go first; null: the job is past that
   * @param endsAt - monotonic, ms
   */
  async work(canary: readonly BulkTarget[] | null, endsAt: number): Promise<'complete' | 'halted' | 'time-up'> {
    let inCanary = canary !== null;
    if (canary !== null) this.#ahead = canary.map((target) => ({ target, tries: 0 }));
    const confirming = this.#confirming();
    confirming.catch((error: unknown) => this.fail(error));
    let canarySince: number | null = null;
    try {
      for (;;) {
        if (this.#failure !== null) throw this.#failure.error;
        const now = this.#now();
        if (this.#stop.aborted || now >= endsAt) return 'time-up';
        if (this.#run.job().state !== 'running') {
          // Their rows say that they wait: whoever resumes finds them there.
          for (const { target } of [...this.#ahead.splice(0), ...this.#retries.splice(0)]) {
            this.#inHand.delete(target.seq);
          }
          if (this.#idle()) return 'halted';
          await this.#pause(TICK_MS);
          continue;
        }
        await this.#noteHold();
        if (this.#switchedOff && now >= this.#hold.until) {
          this.#switchedOff = (await this.#run.ledger.pauseSwitch.read()).paused;
          if (this.#switchedOff) this.#holdFor(SWITCH_LOOK_MS, this.#hold.note);
          continue;
        }
        if (now < this.#hold.until || this.#stopping || this.#inHand.size >= MOST_IN_HAND) {
          await this.#pause(Math.min(250, Math.max(TICK_MS, this.#hold.until - now)));
          continue;
        }
        const next = await this.#next(now, inCanary);
        if (next === null) {
          canarySince ??= now;
          if (inCanary && (this.#idle() || this.#canaryTakesLong(now - canarySince))) {
            await this.#run.book.flushed();
            await this.#judgeCanary();
            inCanary = false;
            continue;
          }
          if (!inCanary && this.#idle()) return 'complete';
          await this.#pause(TICK_MS);
          continue;
        }
        if (await this.#waitForPlace(endsAt)) this.#begin(next);
        else this.#ahead.push(next);
      }
    } finally {
      this.#ended = true;
      this.#wake();
      await confirming.catch(() => {});
      await this.finished();
    }
  }

  /** Until nothing is under way any more. */
  async finished(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #now(): number {
    return this.#run.clock.monotonic();
  }

  /** Until something happened, but not longer than this, ms. */
  async #pause(ms: number): Promise<void> {
    const enough = new AbortController();
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    await Promise.race([woken, sleep(ms, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
  }

  #background(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#tasks.delete(task);
        this.#wake();
      });
    this.#tasks.add(task);
  }

  #idle(): boolean {
    const waiting = this.#looks.length + this.#retries.length + this.#joins.length;
    return (
      waiting === 0 && this.#tasks.size === 0 && [...this.#groups.values()].every(({ items }) => items.length === 0)
    );
  }

  // --- which target is next

  async #next(now: number, inCanary: boolean): Promise<Tried | null> {
    const [soonest] = this.#retries;
    if (soonest !== undefined && soonest.dueAt <= now) {
      this.#retries.shift();
      return soonest;
    }
    if (this.#ahead.length === 0 && !inCanary && !this.#exhausted) {
      const inHandBefore = new Set(this.#inHand);
      const page = await this.#run.ledger.bulk.targets(this.#run.key.planId, {
        ...{ afterSeq: this.#afterSeq, statuses: ['waiting'], limit: PAGE },
      });
      this.#exhausted = page.length < PAGE;
      this.#afterSeq = page.at(-1)?.seq ?? this.#afterSeq;
      // One that was settled while the page was read may still wait in it.
      const isFree = ({ seq }: BulkTarget): boolean => !this.#inHand.has(seq) && !inHandBefore.has(seq);
      const ahead = page.filter(isFree).map((target) => ({ target, tries: 0 }));
      // The next one is taken from the end.
      this.#ahead = ahead.reverse();
    }
    return this.#ahead.pop() ?? null;
  }

  /** @returns false when the job was halted, or the time was up, before its turn came */
  async #waitForPlace(endsAt: number): Promise<boolean> {
    // While the API is away, one at a time finds out when it is back.
    const most = (): number => (this.#troubles >= API_AWAY ? 1 : this.#run.concurrency);
    const goOn = (): boolean =>
      this.#run.job().state === 'running' &&
      !this.#stop.aborted &&
      !this.#stopping &&
      this.#failure === null &&
      this.#now() < endsAt &&
      this.#now() >= this.#hold.until;
    while (this.#passing >= most() && goOn()) await this.#pause(TICK_MS);
    const placeAt = this.#now() + this.#pace.next(this.#now());
    const { rate } = this.#run.job();
    for (let wait = placeAt - this.#now(); wait > 0 && goOn(); wait = placeAt - this.#now()) {
      await sleep(Math.min(wait, 250));
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
    this.#background(async () => {
      try {
        await this.#pass(tried);
      } finally {
        this.#passing -= 1;
      }
    });
  }

  async #pass(tried: Tried): Promise<void> {
    // Without a read, what was planned long ago would end whatever runs now.
    const young = this.#run.clock.wall() - tried.target.seenAtMs < PLAN_EXPIRES_MS;
    const attempt = this.#run.job().fast && young ? attemptUnread : attemptTarget;
    let attempted: Attempted;
    try {
      attempted = await attempt(this.#run, tried.target);
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      attempted = { kind: 'failed', error };
    }
    switch (attempted.kind) {
      case 'confirm':
        if (attempted.works) this.#troubles = 0;
        if (attempted.works && attempted.item.from === 'answered') this.#acceptedAt = this.#now();
        this.#awaitConfirmation(attempted.item);
        break;
      case 'again':
        await this.#again(tried, attempted.afterMs, null);
        break;
      case 'exempt':
        this.#settle(tried.target, 'waiting', { outcome: 'exempted', agentId: attempted.agentId });
        break;
      case 'failed':
        await this.#failed(tried, attempted.error);
        break;
      case 'paused': {
        const why = attempted.reason === null ? '' : ` (${attempted.reason})`;
        this.#holdFor(SWITCH_LOOK_MS, `Curfew is paused${why}; \`curfew resume\` lets it go on.`);
        this.#switchedOff = true;
        this.#ahead.push(tried);
        break;
      }
      case 'stopped':
        // The row says so; what it says exactly is read in a moment.
        this.#holdFor(NEWS_MS, this.#hold.note);
        this.#ahead.push(tried);
        break;
    }
  }

  async #failed(tried: Tried, error: SessionsError): Promise<void> {
    const { timing, random } = this.#run;
    if (error.kind === 'rate-limited') {
      const waitMs = Math.max(error.retryAfterMs ?? 0, backoffMs(1, timing.retryCapMs, random()));
      this.#tooFast(error);
      this.#retryAt(tried, waitMs);
    } else if (await this.#concernsAccount(error)) {
      this.#retryAt(tried, 0);
    } else if (error.kind === 'forbidden') {
      this.#troubles = 0;
      this.#settle(tried.target, 'waiting', { outcome: 'forbidden', error });
    } else if (error.kind === 'not-found') {
      const { target } = tried;
      const turn: OrderedTurn = { key: target.turnKey, startedAtMs: target.turnStartedAtMs };
      const item = { target, agentId: target.agentId, turn, from: 'waiting', byList: null } as const;
      this.#awaitConfirmation({ ...item, sinceAt: this.#now(), sightings: [] });
    } else {
      await this.#apiFailed(error);
      await this.#again(tried, backoffMs(tried.tries + 1, timing.retryCapMs, random()), error);
    }
  }

  /** Tries again later; after several times it is a matter of its own. */
  async #again(tried: Tried, afterMs: number, error: SessionsError | null): Promise<void> {
    // What concerns everybody is not held against one target; and waiting for another sender is no failure.
    const counts = error !== null && this.#troubles < API_AWAY;
    const tries = tried.tries + (counts ? 1 : 0);
    if (tries < MOST_TRIES) this.#retryAt({ ...tried, tries }, afterMs);
    else await this.#handOver(tried.target, 'waiting', null, tried.target.agentId, error);
  }

  #retryAt(tried: Tried, afterMs: number): void {
    const retry = { ...tried, dueAt: this.#now() + afterMs };
    const place = this.#retries.findIndex(({ dueAt }) => dueAt > retry.dueAt);
    this.#retries.splice(place === -1 ? this.#retries.length : place, 0, retry);
  }

  #tooFast(error: SessionsError): void {
    this.#pace.slowDown(this.#now());
    if (error.retryAfterMs !== null) this.#run.limiter.backOff(error.retryAfterMs);
  }

  /** Is it the API, or is it these targets? Some that always fail must not hold up the job. */
  async #apiFailed(error: SessionsError): Promise<void> {
    this.#troubles += 1;
    if (this.#troubles < API_AWAY) return;
    try {
      await this.#run.sessions.listAgents({ pageSize: 1 });
      this.#troubles = 0;
      return;
    } catch (probe) {
      if (!(probe instanceof SessionsError)) throw probe;
    }
    const waitMs = backoffMs(this.#troubles - API_AWAY + 1, LONGEST_HOLD_MS, this.#run.random());
    this.#holdFor(waitMs, `The vendor's API fails: ${error.message}. Trying again; nothing is lost.`);
  }

  /** A refused key concerns all: told once, and tried again now and then. */
  async #concernsAccount(error: SessionsError): Promise<boolean> {
    const ofSession = error.kind === 'forbidden' && this.#now() - this.#acceptedAt < ACCEPTED_LATELY_MS;
    if (ofSession) return false;
    const concerns = await this.#run.account.concernsAccount(error);
    if (concerns === false) return false;
    if (concerns === true) await this.#run.account.refused(error);
    const { accountRetryMs, heldRetryMs } = this.#run.timing;
    this.#holdFor(concerns === true ? accountRetryMs : heldRetryMs, `The vendor refuses the key: ${error.message}.`);
    return true;
  }

  #holdFor(ms: number, note: string | null): void {
    this.#hold = { until: Math.max(this.#hold.until, this.#now() + ms), note };
  }

  /** Leaves word why nothing goes on, for people. */
  async #noteHold(): Promise<void> {
    const note = this.#now() < this.#hold.until ? this.#hold.note : this.#troubles >= API_AWAY ? this.#hold.note : null;
    if (note === this.#noted) return;
    this.#noted = note;
    await this.#run.ledger.bulkRun.step(this.#run.key, { step: 'note', note });
  }

  // --- seeing that it ended

  #awaitConfirmation(item: Unconfirmed): void {
    if (item.byList === null || item.agentId === null) {
      const { confirmGapsMs, missingGapMs } = this.#run.timing;
      const isMissing = item.sightings.at(-1)?.missing === true;
      this.#lookLater(item, isMissing ? missingGapMs : (confirmGapsMs[0] ?? 0), 0);
      return;
    }
    const group = this.#groups.get(item.agentId);
    if (group !== undefined) group.items.push(item);
    else this.#groups.set(item.agentId, this.#newGroup(item.agentId, item));
  }

  #newGroup(agentId: string, item: Unconfirmed): AgentGroup {
    const planned = this.#run.job().totals?.byAgent.find((agent) => agent.agentId === agentId)?.targets ?? 0;
    const pages = Math.max(2, Math.ceil(planned / 100));
    return { agentId, items: [item], pages, looking: false, failures: 0, notBefore: -Infinity };
  }

  #lookLater(item: Unconfirmed, afterMs: number, failures: number): void {
    this.#looks.push({ item, dueAt: this.#now() + afterMs, failures });
  }

  async #confirming(): Promise<void> {
    while (!this.#ended && this.#failure === null) {
      const now = this.#now();
      if (now >= this.#hold.until || this.#run.job().state !== 'running') {
        this.#beginLists(now);
        this.#beginLooks(now);
      }
      this.#beginJoins();
      await sleep(TICK_MS);
    }
    // Cases that are there already are started by the next minute at the latest; better at once.
    this.#beginJoins();
  }

  #beginLists(now: number): void {
    const settleMs = this.#run.timing.confirmGapsMs[0] ?? 0;
    for (const group of this.#groups.values()) {
      if (this.#listing >= LISTS_AT_ONCE) return;
      const moreToCome = !this.#exhausted && group.agentId === this.#agentAtWork;
      const plan = planList(group, now, settleMs, moreToCome);
      if (plan.kind === 'wait') continue;
      const taken = new Set(plan.items);
      group.items = group.items.filter((item) => !taken.has(item));
      if (plan.kind === 'read') {
        for (const item of plan.items) this.#lookLater(item, 0, 0);
        continue;
      }
      group.looking = true;
      this.#listing += 1;
      this.#background(async () => {
        try {
          await this.#lookAtLists(group, plan.items);
        } finally {
          group.looking = false;
          this.#listing -= 1;
        }
      });
    }
  }

  async #lookAtLists(group: AgentGroup, items: readonly Unconfirmed[]): Promise<void> {
    const look = await confirmByList(this.#run, group.agentId, items);
    group.pages = look.pages;
    if (look.problem === null) {
      group.failures = 0;
      this.#troubles = 0;
      for (const settled of look.confirmed) this.#settleConfirmed(settled);
      for (const item of look.listed) this.#lookLater(item, 0, 0);
      return;
    }
    if (look.problem instanceof SessionsError) {
      if (look.problem.kind === 'rate-limited') this.#tooFast(look.problem);
      else if (look.problem.accountWide) await this.#concernsAccount(look.problem);
    }
    group.failures += 1;
    group.notBefore = this.#now() + LIST_RETRY_MS * group.failures;
    if (group.failures < 3) group.items.push(...items);
    else for (const item of items) this.#lookLater(item, 0, 0);
  }

  #beginLooks(now: number): void {
    if (this.#looks.length === 0) return;
    const left: Looking[] = [];
    for (const look of this.#looks) {
      if (look.dueAt > now || this.#reading >= READS_AT_ONCE) {
        left.push(look);
        continue;
      }
      this.#reading += 1;
      this.#background(async () => {
        try {
          await this.#lookAt(look);
        } finally {
          this.#reading -= 1;
        }
      });
    }
    this.#looks = left;
  }

  async #lookAt({ item, failures }: Looking): Promise<void> {
    try {
      const confirmed = await confirmByRead(this.#run, item);
      this.#troubles = 0;
      switch (confirmed.kind) {
        case 'settled':
          this.#settleConfirmed(confirmed.outcome);
          break;
        case 'look-again':
          this.#lookLater(confirmed.item, confirmed.afterMs, 0);
          break;
        case 'hand-over':
          await this.#handOver(item.target, item.from, confirmed.turn, item.agentId, null);
          break;
      }
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      const { timing, random } = this.#run;
      if (error.kind === 'rate-limited') {
        this.#tooFast(error);
        this.#lookLater(item, Math.max(error.retryAfterMs ?? 0, timing.heldRetryMs), failures);
      } else if (await this.#concernsAccount(error)) {
        this.#lookLater(item, timing.heldRetryMs, failures);
      } else if (failures + 1 < MOST_LOOKS_FAILED) {
        this.#lookLater(item, backoffMs(failures + 1, timing.retryCapMs, random()), failures + 1);
      } else {
        await this.#handOver(item.target, item.from, item.turn.key === null ? null : item.turn, item.agentId, error);
      }
    }
  }

  // --- what became of it

  #settleConfirmed({ item, outcome, attribution, endedAtMs, events, turnKey }: SettledOutcome): void {
    this.#settle(item.target, item.from, { outcome, attribution, endedAtMs, turnKey, agentId: item.agentId }, events);
  }

  #settle(
    { seq, sessionId, agentId }: BulkTarget,
    from: TargetStatus,
    what: {
      readonly outcome: Outcome;
      readonly attribution?: 'strong' | 'probable' | null;
      readonly endedAtMs?: number | null;
      readonly turnKey?: string | null;
      readonly agentId?: string | null;
      readonly error?: SessionsError;
    },
    events: readonly EventToRecord[] = [],
  ): void {
    this.#background(async () => {
      // First, because a settled target is not looked at again: told twice is better than never.
      if (events.length > 0) await this.#run.ledger.recordEvents(events);
      await this.#run.book.settle({
        ...{ seq, sessionId, from, outcome: what.outcome },
        attribution: what.attribution ?? null,
        agentId: what.agentId ?? agentId,
        turnKey: what.turnKey ?? null,
        endedAtMs: what.endedAtMs ?? null,
        error: what.error === undefined ? null : orderErrorOf(what.error, this.#run.clock.wall()),
      });
      this.#inHand.delete(seq);
      await this.#through(what.outcome);
    });
  }

  /** What the first request did not end, or what could not even be looked at, becomes a case. */
  async #handOver(
    target: BulkTarget,
    from: 'waiting' | 'answered',
    turn: OrderedTurn | null,
    agentId: string | null,
    error: SessionsError | null,
  ): Promise<void> {
    const { seq, sessionId, seenAtMs } = target;
    const known = turn?.key == null ? null : { key: turn.key, startedAtMs: turn.startedAtMs };
    const handedOver = await this.#run.ledger.bulkRun.handOver(this.#run.key, [
      {
        ...{ seq, sessionId, from, agentId, turn: known, seenAtMs },
        error: error === null ? null : orderErrorOf(error, this.#run.clock.wall()),
      },
    ]);
    switch (handedOver.kind) {
      case 'taken-over':
        throw new TakenOver();
      case 'handed-over': {
        const [orderId] = handedOver.orderIds;
        if (orderId !== undefined) this.#joins.push({ sessionId, orderId });
        this.#inHand.delete(seq);
        await this.#through('case');
        break;
      }
      case 'halted':
        // Nothing more is sent. After an abort, what was asked for and did not end is told as such; else the row brings it up again.
        if (handedOver.state === 'aborted' && from === 'answered') {
          this.#settle(target, from, { outcome: 'abandoned', agentId });
        } else {
          this.#inHand.delete(seq);
        }
        break;
    }
  }

  #beginJoins(): void {
    while (this.#joining < JOINS_AT_ONCE) {
      const join = this.#joins.shift();
      if (join === undefined) return;
      this.#joining += 1;
      this.#background(async () => {
        try {
          await this.#run.cases.join(join.sessionId, join.orderId, JOIN_PATIENCE_MS);
        } catch (error) {
          this.#run.log.warn(
            { sessionId: join.sessionId, err: error },
            'could not start a case; trying again in a minute',
          );
        } finally {
          this.#joining -= 1;
        }
      });
    }
  }

  async #through(fate: Fate): Promise<void> {
    const reason = this.#brake.note(fate);
    if (reason !== null && !this.#stopping) await this.#stopItself(reason);
  }

  #canaryTakesLong(sinceMs: number): boolean {
    const { counts, canary } = this.#run.job();
    return sinceMs > CANARY_PATIENCE_MS && this.#passing === 0 && fatesOf(counts).length * 2 >= canary;
  }

  async #judgeCanary(): Promise<void> {
    const { ledger, key } = this.#run;
    const job = await ledger.bulk.get(key.planId);
    const reason = judgeCanary(fatesOf(job?.counts ?? null));
    if (reason === null) await ledger.bulkRun.step(key, { step: 'main' });
    else await this.#stopItself(reason);
  }

  async #stopItself({ note, data }: BrakeReason): Promise<void> {
    this.#stopping = true;
    this.#brake.reset();
    await this.#run.ledger.bulkRun.step(this.#run.key, { step: 'stop', note, data });
    // Until its row has been read again.
    this.#holdFor(NEWS_MS, this.#hold.note);
    this.#stopping = false;
    this.#run.log.error({ plan: this.#run.key.planId, ...data }, `bulk job: ${note}`);
  }
}
