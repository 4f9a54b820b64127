import { expect, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { caseWorkflowId, type Outcome } from '../../src/core/contract.js';
import { createEnforcement, type Round } from '../../src/engines/fleet/enforcement.js';
import { judgeWatchOrder } from '../../src/engines/watch/gate-rules.js';
import { createInHand, type InHand } from '../../src/engines/fleet/in-hand.js';
import { createGateRules } from '../../src/engines/fleet/gate-rules.js';
import { createRulesReader } from '../../src/engines/fleet/rules-in-force.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { attemptCase, confirmCase } from '../../src/engines/cases/case-step.js';
import type { CaseDependencies, Step } from '../../src/engines/cases/case.js';
import type { Clock } from '../../src/platform/clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { watchForRestart } from '../../src/engines/cases/restart-watch.js';
import { TryAgain } from '../../src/core/try-again.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { aboutWorkflow, logAbout } from '../../src/platform/log-context.js';
import { NO_METERS, type Meters } from '../../src/adapters/meters.js';
import type { Exemption, Policy, PolicyFile } from '../../src/core/policy/policy.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import {
  SessionsError,
  type Agent,
  type Answer,
  type CancelAnswer,
  type ListAgentsOptions,
  type ListSessionsOptions,
  type Session,
  type SessionsClient,
  type SessionsErrorKind,
  type SessionsOperation,
  type Team,
} from '../../src/adapters/vendor/index.js';
import type { Logger } from '../../src/platform/telemetry.js';
import { takeUpUnheld } from '../../src/worker/keepers/cases.js';
import { FREE_LIMITER } from './free-limiter.js';
import { hooked, Killed, type LedgerHooks } from './gate-harness.js';
import { transcriptOf } from '../../src/core/policy/turn.js';
import { SeenReads } from './seen-reads.js';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
/** Vendor's time and ours when a test begins, ms. */
export const BEGINNING = Date.UTC(2026, 0, 5, 12, 0, 0);
export const SCAN_MS = 15 * SECOND;
/** Each call takes so long of the fake clock, ms. */
const CALL_MS = 20;
/** A hang limit, of real time: nobody comes to rest. */
const HANGS_MS = 30_000;
/** Ledger away: what Temporal waits before the next try. */
const LEDGER_RETRY_MS = 5 * SECOND;

/** What is true of a session at a moment. Times are vendor time, ms. */
export interface Shown {
  readonly state: string | null;
  readonly messages: readonly { readonly id: string | null; readonly atMs: number | null }[];
  readonly credits?: number | null;
  readonly createdAtMs?: number | null;
}

/** A session's life: what is true of it at each moment of the vendor's time; null: it is not there. */
export type Life = (vendorMs: number) => Shown | null;

export type Called = { readonly operation: SessionsOperation; readonly subject: string | null; readonly call: number };

/** Our clocks and the vendor's, moved by the test alone. They tick together until someone sets one of them. */
export class FleetClock implements Clock {
  #monotonic = 7_000_000;
  #wall = BEGINNING;
  #vendor = BEGINNING;

  monotonic = (): number => this.#monotonic;
  wall = (): number => this.#wall;
  vendor = (): number => this.#vendor;

  advance(ms: number): void {
    this.#monotonic += ms;
    this.#wall += ms;
    this.#vendor += ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.dueAt <= this.#monotonic) sleeper.wake();
  }
  readonly #sleepers = new Set<{ readonly dueAt: number; readonly wake: () => void }>();
  /** Monotonic, ms: when the first of those wakes. */
  get wakesAt(): number {
    return Math.min(...[...this.#sleepers].map(({ dueAt }) => dueAt));
  }
  sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        resolve();
      };
      const sleeper = { dueAt: this.#monotonic + ms, wake };
      this.#sleepers.add(sleeper);
      if (signal.aborted) wake();
      else signal.addEventListener('abort', wake, { once: true });
    });
  /** As `setInterval`. @returns stops it */
  every = (work: () => void, ms: number): (() => void) => {
    const next = (): (() => void) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        work();
        stop = next();
      };
      const sleeper = { dueAt: this.#monotonic + ms, wake };
      this.#sleepers.add(sleeper);
      return () => this.#sleepers.delete(sleeper);
    };
    let stop = next();
    return () => stop();
  };
  /** Someone sets the clock of our machine. */
  setOurs(ms: number): void {
    this.#wall += ms;
  }
}

/**
 * A vendor with a fleet of sessions. Lists show those that are `queued` or `processing`, without messages, a page at a time.
 * It can be told to fail, to hide sessions from lists, and to show them in another form than they have.
 */
export class ScriptedFleet implements SessionsClient {
  readonly agents: Agent[] = [];
  /** Teams that the caller is in. Agents of a team are in that team's list alone. Null: the server knows no teams. */
  teams: Team[] | null = [];
  /** Team that every request names; null: none. */
  teamId: string | null = null;
  readonly lives = new Map<string, { readonly agentId: string; life: Life }>();
  /** Ids of sessions that lists leave out, though they are live. */
  readonly hidden = new Set<string>();
  /** An error to answer with, instead. */
  fails: (called: Called) => SessionsErrorKind | SessionsError | null = () => null;
  /** What happens while a call is under way. */
  during: (called: Called) => void | Promise<void> = () => undefined;
  /** Changes what an answer shows. */
  reshape: (session: Session, operation: SessionsOperation) => Session = (session) => session;
  /** Items that can't be read, by agent. */
  readonly unreadable = new Map<string, number>();
  pageSize = 100;
  /** Whether answers carry a `Date` header, and how far it is off the vendor's other times, ms. */
  dates: (operation: SessionsOperation) => number | null = () => 0;
  /** Whether a cancel request that answers `failed` ends the turn. */
  cancelsEnd = true;
  /** Whether one that answers so ends the turn. */
  cancelHasEffect = (answer: CancelAnswer['state']): boolean => answer === 'failed' && this.cancelsEnd;
  /** State that a cancel request answers, or the kind of its failure. */
  cancelAnswers: (sessionId: string, call: number) => CancelAnswer['state'] = () => 'failed';

  readonly calls: (Called & { readonly atMs: number })[] = [];
  readonly cancels: { readonly sessionId: string; readonly turnKey: string | null; readonly atMs: number }[] = [];
  /** Turns that cancel requests have ended. */
  readonly ends: { readonly sessionId: string; readonly turnKey: string | null; readonly atMs: number }[] = [];
  /** Sessions for which two cancel requests were under way at once. */
  readonly sideBySide: string[] = [];
  readonly #underWay = new Map<string, number>();
  readonly brokenPromises: string[] = [];
  readonly #reads = new SeenReads();

  constructor(readonly clock: FleetClock) {}

  agent(id: string, more: Partial<Agent> = {}): void {
    this.agents.push({ id, name: id, teamId: null, creatorId: null, isActive: true, ...more });
  }

  session(id: string, life: Life | Shown, agentId = 'agent-1'): void {
    this.lives.set(id, { agentId, life: typeof life === 'function' ? life : () => life });
  }

  /** How often it was asked. */
  count(operation: SessionsOperation, subject?: string): number {
    return this.calls.filter((one) => one.operation === operation && (subject ?? one.subject) === one.subject).length;
  }

  truth(id: string): Shown | null {
    return this.lives.get(id)?.life(this.clock.vendor()) ?? null;
  }

  listTeams(): ReturnType<SessionsClient['listTeams']> {
    return this.#answer('listTeams', null, () => {
      if (this.teams === null) throw this.#error('not-found', 'listTeams', null);
      return { teams: [...this.teams], nextCursor: null, unreadable: 0 };
    });
  }

  listAgents({ teamId = this.teamId ?? undefined }: ListAgentsOptions = {}): ReturnType<SessionsClient['listAgents']> {
    return this.#answer('listAgents', teamId ?? null, () => ({
      agents: this.agents.filter((agent) => agent.teamId === (teamId ?? null)),
      nextCursor: null,
      unreadable: 0,
    }));
  }

  listSessions(
    agentId: string,
    { state, cursor }: ListSessionsOptions = {},
  ): ReturnType<SessionsClient['listSessions']> {
    return this.#answer('listSessions', agentId, () => {
      const all = [...this.lives.keys()].flatMap((id) => {
        const shown = this.truth(id);
        if (shown === null || shown.state !== state || this.hidden.has(id)) return [];
        if (this.lives.get(id)?.agentId !== agentId) return [];
        return [this.reshape({ ...this.#session(id, shown), transcript: transcriptOf([]) }, 'listSessions')];
      });
      const from = Number(cursor ?? 0);
      const next = from + this.pageSize;
      return {
        sessions: all.slice(from, next),
        nextCursor: next < all.length ? String(next) : null,
        unreadable: next < all.length ? 0 : (this.unreadable.get(agentId) ?? 0),
      };
    });
  }

  retrieveSession(sessionId: string): Promise<Answer<Session>> {
    const sentAt = this.clock.monotonic();
    return this.#answer('retrieveSession', sessionId, () => {
      const shown = this.truth(sessionId);
      if (shown === null) throw this.#error('not-found', 'retrieveSession', sessionId);
      const session = this.reshape(this.#session(sessionId, shown), 'retrieveSession');
      this.#reads.note(sessionId, sentAt, this.clock.monotonic(), session);
      return session;
    });
  }

  async cancelSession(sessionId: string): Promise<Answer<CancelAnswer>> {
    const broken = this.#reads.brokenBy(sessionId, this.clock.monotonic());
    if (broken !== null) this.brokenPromises.push(broken);
    const shown = this.truth(sessionId);
    const state = this.cancelAnswers(sessionId, this.cancels.length);
    this.cancels.push({ sessionId, turnKey: shown?.messages.at(-1)?.id ?? null, atMs: this.clock.vendor() });
    const others = this.#underWay.get(sessionId) ?? 0;
    if (others > 0) this.sideBySide.push(sessionId);
    this.#underWay.set(sessionId, others + 1);
    return this.#answer('cancelSession', sessionId, () => {
      const kind = state as SessionsErrorKind;
      if (shown !== null && this.cancelHasEffect(state)) this.end(sessionId);
      if (['server-error', 'timeout', 'failed-to-abort'].includes(kind))
        throw this.#error(kind, 'cancelSession', sessionId);
      return { id: sessionId, state };
    }).finally(() => this.gaveUp(sessionId));
  }

  /** Nobody waits for the answer to a cancel request any more. */
  gaveUp(sessionId: string): void {
    this.#underWay.set(sessionId, Math.max(0, (this.#underWay.get(sessionId) ?? 0) - 1));
  }

  listQueue(sessionId: string): ReturnType<SessionsClient['listQueue']> {
    return this.#answer('listQueue', sessionId, () => []);
  }

  listTriggers(agentId: string): ReturnType<SessionsClient['listTriggers']> {
    return this.#answer('listTriggers', agentId, () => ({ triggers: [], nextCursor: null }));
  }

  /** A cancel request takes effect: the turn of now is over; later ones are not touched. */
  end(sessionId: string): void {
    const entry = this.lives.get(sessionId);
    const ended = this.truth(sessionId);
    if (entry === undefined || ended === null || !['processing', 'queued'].includes(ended.state ?? '')) return;
    const { life } = entry;
    const key = ended.messages.at(-1)?.id ?? null;
    this.ends.push({ sessionId, turnKey: key, atMs: this.clock.vendor() });
    entry.life = (at) => {
      const shown = life(at);
      return (shown?.messages.at(-1)?.id ?? null) === key && shown !== null ? { ...ended, state: 'failed' } : shown;
    };
  }

  #session(id: string, { state, messages, credits = null, createdAtMs = null }: Shown): Session {
    const agentId = this.lives.get(id)?.agentId ?? null;
    return {
      ...{ id, agentId, agentName: null, name: null, type: 'api', state, createdAtMs, queuePosition: null },
      transcript: transcriptOf(
        messages.map((message) => ({ id: message.id, role: 'user', createdAtMs: message.atMs })),
      ),
      usage:
        credits === null
          ? null
          : {
              creditCost: credits,
              ...{ toolCreditCost: null, flowCreditCost: null, inputTokens: null, cachedInputTokens: null },
              ...{ cacheWriteInputTokens: null, outputTokens: null, reasoningTokens: null },
            },
      ...{ creatorId: 'user-1', creatorEmail: 'one@example.com', teamId: null, triggerId: null },
    };
  }

  #error(kind: SessionsErrorKind, operation: SessionsOperation, subject: string | null): SessionsError {
    const status = { unauthorized: 401, forbidden: 403, 'not-found': 404, 'rate-limited': 429, 'server-error': 503 };
    return new SessionsError(kind, { operation, subject, status: (status as Record<string, number>)[kind] ?? null });
  }

  async #answer<T>(operation: SessionsOperation, subject: string | null, read: () => T): Promise<Answer<T>> {
    const sentAt = this.clock.monotonic();
    const called = { operation, subject, call: this.count(operation) };
    this.calls.push({ ...called, atMs: this.clock.vendor() });
    this.clock.advance(CALL_MS);
    // As over the wire: never in the same turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    await this.during(called);
    const failure = this.fails(called);
    if (failure !== null) throw typeof failure === 'string' ? this.#error(failure, operation, subject) : failure;
    const off = this.dates(operation);
    const serverDateMs = off === null ? null : Math.floor((this.clock.vendor() + off) / SECOND) * SECOND;
    return { value: read(), status: 200, serverDateMs, sentAt, receivedAt: this.clock.monotonic() };
  }
}

/** As a process sees what it calls: around each call it may die. Then no call comes back. */
function mortal<T extends object>(
  target: T,
  life: (point: string, given: readonly unknown[]) => Promise<void>,
  prefix = '',
): T {
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property, object);
      const name = `${prefix}${String(property)}`;
      if (typeof value === 'object' && value !== null && name === String(property) && prefix === '')
        return mortal(value, life, `${name}.`);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]): Promise<unknown> => {
        await life(`before ${name}`, args);
        try {
          return await (Reflect.apply(value, object, args) as Promise<unknown>);
        } finally {
          await life(`after ${name}`, args);
        }
      };
    },
  });
}

/** What the processes on one clock do, so that time goes by only where none is in the middle of something. */
interface Living {
  /** In hand, and not asleep. */
  readonly atWork: () => boolean;
  /** It makes a round, and waits for nothing. */
  readonly isBusy: () => boolean;
  /** Monotonic, ms: it waits until then; null: it does not wait. */
  readonly until: () => number | null;
}

/** A turn that is in one state from its message on. */
export const turnSince = (atMs: number, state = 'processing', id = `m@${atMs}`): Shown => ({
  state,
  messages: [{ id, atMs }],
});

export interface OrderRow {
  readonly id: string;
  readonly sessionId: string;
  readonly turnKey: string | null;
  readonly policy: string | null;
  readonly version: number | null;
  readonly reason: string | null;
  readonly open: boolean;
  readonly outcome: Outcome | null;
  readonly orderedAtMs: number;
}

/** One process that puts the policies in force, with a memory of its own. */
interface EnforcingProcess {
  /** Rounds, with the waits between them, until so much time has passed on the fake clock. @returns how the last one ended */
  run(ms: number): Promise<Round['next']>;
  /** Whether the last round wants the next one for this process. */
  readonly stays: () => boolean;
  /** Rounds that failed for want of the ledger. */
  readonly failedRounds: () => number;
  readonly log: Record<'debug' | 'info' | 'warn' | 'error', jest.Mock>;
  /** Orders that it is carrying out. */
  readonly inHand: () => number;
  /** Settles when it has died, as its `dies` said: none of its calls comes back then, and it makes no more. */
  readonly died: Promise<void>;
  /** It dies now. */
  kill(): void;
  /** It is told to stop. */
  stop(): Promise<void>;
}

export interface FleetHarness {
  readonly clock: FleetClock;
  readonly fleet: ScriptedFleet;
  readonly ledger: Ledger;
  readonly db: OpenedDatabase['db'];
  /** Cases that were joined. */
  readonly joined: { readonly sessionId: string; readonly orderId: string; readonly atMs: number }[];
  apply(policies: readonly Policy[], exempt?: readonly Exemption[]): Promise<void>;
  process(parts?: {
    readonly hooks?: LedgerHooks;
    readonly scanMs?: number;
    readonly joinFails?: boolean;
    readonly meters?: Meters;
    readonly random?: () => number;
    /** It carries out what it orders, as a worker does; left out: that is left to {@link FleetHarness.carryOut}. */
    readonly carriesOut?: boolean;
    /** Whether it dies there: `before` or `after` a call of the ledger, the vendor, or Temporal, as in `after requests.register`. */
    readonly dies?: (point: string, given: readonly unknown[]) => boolean;
    /** In the place of the one that it shows. */
    readonly log?: Logger;
  }): EnforcingProcess;
  /** Plays the case of a session, on the fake clock: until no order is open, the look for a restart included. @returns its waits */
  carryOut(sessionId: string, stop?: (wait: TryAgain) => boolean, log?: Logger): Promise<TryAgain[]>;
  /** The reconciler looks for what nobody holds. The cases that it and the processes have opened go on as time goes by. */
  takeUp(): Promise<void>;
  /** Never comes back while the test goes on. */
  forever(): Promise<never>;
  /** Sessions whose cases go on. */
  readonly cases: ReadonlySet<string>;
  orders(): Promise<OrderRow[]>;
  events(kind?: string): Promise<{ kind: string; sessionId: string | null; data: Record<string, unknown> }[]>;
  close(): Promise<void>;
}

/** @param url - of the ledger; left out: SQLite in a file of its own */
export async function openFleetHarness(url?: string): Promise<FleetHarness> {
  const clock = new FleetClock();
  const now = jest.spyOn(Date, 'now').mockImplementation(clock.wall);
  const fleet = new ScriptedFleet(clock);
  const folder = mkdtempSync(join(tmpdir(), 'curfew-fleet-'));
  const place = url ?? join(folder, 'ledger.db');
  const ledger = await openLedger(place);
  const { db, close: closeDatabase } = await openDatabase(place);
  const joined: FleetHarness['joined'] = [];
  const limiter = FREE_LIMITER;
  const living = new Set<Living>();
  const burial = new AbortController();
  setMaxListeners(0, burial.signal);
  /** Until the test is over: then timers that wait for it must end. */
  const never = (): Promise<never> =>
    new Promise((_resolve, reject) => {
      burial.signal.addEventListener('abort', () => reject(new Killed()), { once: true });
      if (burial.signal.aborted) reject(new Killed());
    });
  let played = 0;
  /** Of cases. */
  const failures: unknown[] = [];
  const newLog = () => ({ debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() });

  const process: FleetHarness['process'] = ({
    hooks,
    scanMs = SCAN_MS,
    joinFails = false,
    meters = NO_METERS,
    random = () => 0.5,
    carriesOut = false,
    dies = () => false,
    log: logHere,
  } = {}) => {
    const log = newLog();
    let dead = false;
    let renewals = 0;
    let hasDied = (): void => {};
    const died = new Promise<void>((resolve) => (hasDied = resolve));
    const life = async (point: string, given: readonly unknown[]): Promise<void> => {
      if (point === 'before holds.renew') renewals += 1;
      if (!dead && dies(point, given)) kill();
      if (dead) await never();
      if (point === 'after holds.renew') renewals -= 1;
    };
    const kill = (): void => {
      dead = true;
      living.delete(me);
      hasDied();
    };
    const here = mortal(hooks === undefined ? ledger : hooked(ledger, hooks), life);
    const sessions = mortal<SessionsClient>(fleet, life);
    const worker = randomUUID();
    const stopping = new AbortController();
    const vendorClock = createVendorClock(clock);
    const rules = createRulesReader(here);
    const account = createAccount(here, sessions, log, clock.monotonic);
    const gate = createGate({ sessions, ledger: here, limiter, log, clock, vendorClock, worker });
    const cases = mortal(
      {
        join: (sessionId: string, orderId: string) => {
          if (joinFails) return Promise.reject(new Error('Temporal is away'));
          joined.push({ sessionId, orderId, atMs: clock.vendor() });
          return Promise.resolve('joined' as const);
        },
      },
      life,
      'cases.',
    );
    let asleep = 0;
    const inHand = createInHand({
      ...{ sessions, gate, ledger: here, limiter, log: logHere ?? log, account, meters, random, cases, worker, scanMs },
      rules: createGateRules({
        ...{ ledger: here, rules, vendorClock, scanMs },
        judgeService: (order, read) => judgeWatchOrder({ ledger: here, vendorClock }, order, read),
      }),
      timing: DEFAULT_TIMING,
      monotonic: clock.monotonic,
      stopping: stopping.signal,
      pause: async (ms, signal) => {
        asleep += 1;
        await clock.sleep(ms, signal);
        asleep -= 1;
      },
      every: clock.every,
    });
    const byCases: Pick<InHand, 'take'> = {
      take: ({ sessionId, orderId }) => void cases.join(sessionId, orderId).catch(() => {}),
    };
    let running = false;
    /** Monotonic, ms: it waits until then; null: it is in the middle of something. */
    let waitsUntil: number | null = null;
    const me: Living = {
      atWork: () => renewals > 0 || asleep < inHand.size,
      until: () => waitsUntil,
      isBusy: () => running && (waitsUntil === null || waitsUntil <= clock.monotonic()),
    };
    living.add(me);
    /** Until everything that is in hand waits for time to pass. */
    const quiet = async (isQuiet: () => boolean): Promise<void> => {
      const began = performance.now();
      while (!isQuiet()) {
        if (dead) await never();
        if (performance.now() - began > HANGS_MS) throw new Error('What is in hand does not come to rest.');
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (dead) await never();
    };
    const allRest = (): boolean => [...living].every((one) => !one.atWork() && (one === me || !one.isBusy()));
    const pass = async (ms: number): Promise<void> => {
      const until = clock.monotonic() + ms;
      waitsUntil = until;
      for (;;) {
        await quiet(() => clock.monotonic() >= until || allRest());
        if (clock.monotonic() >= until) break;
        const next = Math.min(until, clock.wakesAt, ...[...living].map((one) => one.until() ?? Infinity));
        clock.advance(Math.max(0, next - clock.monotonic()));
      }
      waitsUntil = null;
      await quiet(() => !me.atWork());
    };
    const enforcement = createEnforcement({
      ...{ sessions, ledger: here, limiter, log: logHere ?? log, scanMs, meters },
      ...{ account, vendorClock, rules, gate, worker, inHand: carriesOut ? inHand : { ...inHand, ...byCases } },
      monotonic: clock.monotonic,
      random,
      pause: async (ms, signal, idle) => {
        await (idle ? pass(ms) : quiet(() => !me.atWork()));
        // What is under way takes no time but that of its calls.
        if (idle || signal.aborted) return;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      },
    });
    let token: string | null = null;
    let failures = 0;
    let stay = true;
    return {
      log,
      died,
      kill,
      inHand: () => inHand.size,
      stop: async () => {
        stopping.abort();
        await inHand.finished();
        living.delete(me);
      },
      stays: () => stay,
      failedRounds: () => failures,
      run: async (ms) => {
        const until = clock.monotonic() + ms;
        let next: Round['next'] = 'round';
        running = true;
        waitsUntil = null;
        while (clock.monotonic() < until) {
          let afterMs = LEDGER_RETRY_MS;
          try {
            // Through Temporal everything travels as JSON.
            const round = JSON.parse(
              JSON.stringify(await enforcement.round(token, new AbortController().signal)),
            ) as Round;
            next = round.next;
            if (round.next === 'rest') break;
            token = round.memory;
            stay = round.stay;
            afterMs = round.afterMs;
          } catch (error) {
            if (!(error instanceof LedgerUnavailableError)) throw error;
            failures += 1;
          }
          await pass(Math.max(1, Math.min(afterMs, until - clock.monotonic())));
        }
        running = false;
        return next;
      },
    };
  };

  const carryOut: FleetHarness['carryOut'] = (sessionId, stop = () => false, log = newLog()) =>
    logAbout(aboutWorkflow(caseWorkflowId(sessionId)), () =>
      playCase(sessionId, stop, log, (ms) => Promise.resolve(clock.advance(ms))),
    );
  const playCase = async (
    sessionId: string,
    stop: (wait: TryAgain) => boolean,
    log: Logger,
    wait: (ms: number) => Promise<void>,
  ): Promise<TryAgain[]> => {
    const vendorClock = createVendorClock(clock);
    const deps: CaseDependencies & { sessions: SessionsClient } = {
      ...{ sessions: fleet, ledger, limiter, log, timing: DEFAULT_TIMING, meters: NO_METERS, random: () => 0.5 },
      gate: createGate({ sessions: fleet, ledger, limiter, log, clock, vendorClock, worker: randomUUID() }),
      account: createAccount(ledger, fleet, log, clock.monotonic),
      rules: createGateRules({
        ...{ ledger, rules: createRulesReader(ledger), vendorClock, scanMs: SCAN_MS },
        judgeService: (order, read) => judgeWatchOrder({ ledger, vendorClock }, order, read),
      }),
    };
    const waits: TryAgain[] = [];
    let step: Step = { next: 'attempt', afterMs: 0 };
    let look = { number: 0, queued: false };
    for (let count = 0; count < 5_000; count += 1) {
      try {
        if (step.next === 'attempt') step = await attemptCase(deps, sessionId, caseWorkflowId(sessionId), 0);
        else if (step.next === 'look') step = await confirmCase(deps, sessionId, step.sightings, step.look, 0);
        else {
          const watch = await watchForRestart(deps, sessionId, look.number, look.queued, 0);
          if (watch.next === 'done') return waits;
          if (watch.next === 'look') {
            look = { number: look.number + 1, queued: watch.queued };
            await wait(watch.afterMs);
            continue;
          }
          look = { number: 0, queued: false };
          step = { next: 'attempt', afterMs: 0 };
        }
        if (step.next !== 'done') await wait(step.afterMs);
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
        waits.push(error);
        if (stop(error)) return waits;
        await wait(error.afterMs);
      }
    }
    throw new Error('The case does not come to rest.');
  };

  const cases = new Set<string>();
  /** As Temporal does: one case on a session at a time. */
  const playAlong = async (sessionId: string): Promise<void> => {
    if (cases.has(sessionId)) return;
    cases.add(sessionId);
    let asleep = false;
    const me: Living = { atWork: () => !asleep, isBusy: () => false, until: () => null };
    living.add(me);
    const wait = async (ms: number): Promise<void> => {
      asleep = true;
      await clock.sleep(ms, new AbortController().signal);
      asleep = false;
    };
    await playCase(sessionId, () => false, newLog(), wait).finally(() => {
      living.delete(me);
      cases.delete(sessionId);
    });
  };

  return {
    ...{ clock, fleet, ledger, db, joined, process, carryOut, cases },
    forever: never,
    takeUp: async () => {
      const join = (sessionId: string, orderId: string) => {
        joined.push({ sessionId, orderId, atMs: clock.vendor() });
        return Promise.resolve('joined' as const);
      };
      await takeUpUnheld(ledger, { join }, newLog(), new AbortController().signal);
      const opened = joined.slice(played);
      played = joined.length;
      for (const { sessionId } of opened) playAlong(sessionId).catch((error: unknown) => failures.push(error));
    },
    apply: async (policies, exempt = []) => {
      const file: PolicyFile = { version: 1, policies, cleanup: [], notify: {}, exempt };
      await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText: JSON.stringify(file), by: 'a test' });
    },
    orders: async () => {
      const rows = await db
        .selectFrom('orders')
        .leftJoin('outcomes', 'outcomes.order_id', 'orders.id')
        .selectAll('orders')
        .select('outcomes.outcome')
        .orderBy('ordered_at')
        .orderBy('orders.session_id')
        .execute();
      return rows.map((row) => ({
        ...{ id: row.id, sessionId: row.session_id, turnKey: row.turn_key, policy: row.policy },
        ...{ version: row.policy_version, reason: row.reason_text, open: row.open === 1 },
        ...{ outcome: row.outcome as Outcome | null, orderedAtMs: row.ordered_at },
      }));
    },
    events: async (kind) => {
      const rows = await db.selectFrom('events').selectAll().orderBy('seq').execute();
      return rows
        .filter((row) => kind === undefined || row.kind === kind)
        .map((row) => ({
          ...{ kind: row.kind, sessionId: row.session_id },
          data: JSON.parse(row.data_json ?? '{}') as Record<string, unknown>,
        }));
    },
    close: async () => {
      burial.abort();
      await new Promise((resolve) => setImmediate(resolve));
      await ledger.close();
      await closeDatabase();
      now.mockRestore();
      rmSync(folder, { recursive: true, force: true });
      expect(fleet.brokenPromises).toEqual([]);
      expect(fleet.sideBySide).toEqual([]);
      expect(failures).toEqual([]);
    },
  };
}
