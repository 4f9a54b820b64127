import { randomUUID } from 'node:crypto';
import { TryAgain } from '../../core/try-again.js';
import { lookForEndedTurns } from './after-end.js';
import { listVisibleAgents, type AgentsSeen } from '../../adapters/vendor/agents.js';
import { Tasks, type Pause } from '../../platform/tasks.js';
import { readCoverage, sawNothing, type Coverage } from '../../adapters/ledger/coverage.js';
import { noteCoverage } from './coverage-watch.js';
import { fleetOf, forgetOld, FORGET_AFTER_MS, type Fleet, type Tracked } from './fleet.js';
import { roughly } from '../../core/policy/backoff.js';
import type { Policy } from '../../core/policy/policy.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import type { JudgeContext } from './judge-session.js';
import { lookAtSession, type LookDependencies } from './look.js';
import { mayAsk, retryList, type ListRetry } from './list-retry.js';
import type { RulesInForce, RulesReader } from './rules-in-force.js';
import { agentsFor, dueAgents, scanAgents, scanSettings, takeInAgents } from './scan.js';

/** One round goes on for as long as something is due within so little time that a timer of Temporal's is not worth it, ms. */
const LINGER_MS = 1_500;
/** It ends after this at the latest, so that another worker can take over and Temporal sees progress, ms. */
const ROUND_MS = 60_000;
/**
 * Retrieves at once. Cancel requests wait behind so many at most. Near the request limit each waits up to a second for its
 * turn, so fewer would not keep up with ten deadlines a second; transcripts are long, so many more would need much memory.
 */
const LOOKS_AT_ONCE = 16;
/** How often rules and exemptions are read during a round, ms. */
const REFRESH_MS = 2_000;
/** The lists of agents, the caller's own and those of teams, change rarely: they are asked for so often, a quarter more or less, ms. */
const AGENTS_EVERY_MS = 60_000;
const TICK_MS = 25;
/** The same while a scan or a look is under way. */
const BUSY_TICK_MS = 100;

const TOO_NEW =
  'The policies in force were written by a newer Curfew: this worker does not enforce them, so that it does not match more than was meant. Update it.';
const TOO_NEW_RETRY_MS = 5_000;

export interface EnforcementDependencies extends LookDependencies {
  readonly rules: RulesReader;
  readonly scanMs: number;
  /** Left out: real time. */
  readonly pause?: Pause;
}

/** What a round leaves behind. Plain data: it travels through Temporal. */
export type Round =
  /** No policies are in force: there is nothing to do until some are. */
  | { readonly next: 'rest' }
  | {
      readonly next: 'round';
      /** Of what this process remembers; another process, or one that has forgotten, starts from the ledger. */
      readonly memory: string | null;
      readonly afterMs: number;
      /** Whether the next one is better done by this process, which remembers the fleet: unless it could see nothing of it. */
      readonly stay: boolean;
    };

/**
 * The fleet under the policies in force. What it remembers between two rounds is in this process; the ledger has all that
 * another process needs to go on.
 */
export interface Enforcement {
  /**
   * Scans when a scan is due, looks at sessions whose time has come, and has violators ended.
   *
   * @param memory - from the round before
   * @throws LedgerUnavailableError; nothing was ended, and the next round starts from the ledger
   */
  round(memory: string | null, signal: AbortSignal): Promise<Round>;
}

export function createEnforcement(deps: EnforcementDependencies): Enforcement {
  let last: { readonly token: string; readonly memory: Memory } | null = null;
  return {
    async round(token, signal) {
      const rules = await deps.rules.read();
      if (rules.kind === 'none') return { next: 'rest' };
      if (rules.kind === 'too-new') {
        deps.log.error({ version: rules.version }, TOO_NEW);
        // Not a round that rests: another worker may be new enough, and takes up the next try.
        throw new TryAgain('RuleUnknown', TOO_NEW, TOO_NEW_RETRY_MS);
      }
      const known = last !== null && last.token === token && !last.memory.work.failed ? last.memory : null;
      // What is left of it must not write what the ledger no longer has.
      if (known === null) await last?.memory.work.finished();
      const memory = known ?? (await remember(deps));
      // What a failed round remembers may be ahead of the ledger.
      last = null;
      const afterMs = await runRound(deps, memory, signal);
      const next = randomUUID();
      last = { token: next, memory };
      const stay = memory.coverage === null || !sawNothing(memory.coverage);
      return { next: 'round', memory: next, afterMs, stay };
    },
  };
}

/** What one process knows between rounds. */
interface Memory {
  readonly fleet: Fleet;
  /** Scans and looks. A slow look goes on while the next round begins, so that no deadline waits for it. */
  readonly work: Tasks;
  standing: Standing | null;
  coverage: Coverage | null;
  /** All agents that the key shows; null: not listed yet. */
  seen: AgentsSeen | null;
  /** Monotonic, ms; null: now is the time. */
  agentsDueAt: number | null;
  /** Null: all lists of agents were read whole. */
  agentsRetry: ListRetry | null;
  /** The vendor refuses the account; null: it does not, as far as is known. */
  refused: { readonly error: SessionsError; readonly retry: ListRetry } | null;
  scannedAt: number | null;
  /** Version of the rules that all sessions were judged by. */
  version: number | null;
}

async function remember({ ledger, pause }: EnforcementDependencies): Promise<Memory> {
  return {
    work: new Tasks({ wait: pause }),
    standing: null,
    fleet: fleetOf(await ledger.facts.load(FORGET_AFTER_MS)),
    coverage: await readCoverage(ledger),
    seen: null,
    agentsDueAt: null,
    agentsRetry: null,
    refused: null,
    scannedAt: null,
    version: null,
  };
}

/** What may change at any moment, as last read from the ledger. */
interface Standing {
  readonly rules: RulesInForce;
  readonly exempt: ReadonlyMap<string, number>;
  /** Monotonic, ms. */
  readonly readAt: number;
}

/** @returns ms until the next scan or look; 0 when the round was cut short */
async function runRound(deps: EnforcementDependencies, memory: Memory, signal: AbortSignal): Promise<number> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const { work } = memory;
  work.onFailure(() => failed.abort());
  // What is cut off because the round ends has not failed, and the next round takes it up.
  const begin = (what: () => Promise<void>): void =>
    work.begin(() =>
      what().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      }),
    );
  const endAt = deps.monotonic() + ROUND_MS;
  let standing = await readStanding(deps);
  // What is left of the round before judges by it, too.
  memory.standing = standing ?? memory.standing;
  const contextOf = (scanMs: number): JudgeContext => {
    if (memory.standing === null) throw new Error('There are no rules to judge by.');
    const { rules, exempt } = memory.standing;
    return { rules, exempt, nowMs: deps.vendorClock.now() ?? 0, scanMs: scanMs > 0 ? scanMs : deps.scanMs };
  };

  let scanning = false;
  let goesOn = false;
  let waitMs = 0;
  while (!stop.aborted && standing !== null) {
    if (deps.monotonic() - standing.readAt >= REFRESH_MS) {
      const fresh = await readStanding(deps).catch(async (error: unknown) => {
        // The next round begins from the ledger: nothing of this one may still write there then.
        failed.abort();
        await work.finished();
        work.throwIfFailed();
        throw error;
      });
      if (fresh === null) break;
      standing = memory.standing = fresh;
    }
    const { rules } = standing;
    if (memory.version !== rules.version) scanAllNow(memory, rules.version);
    // A scan that takes as long as the interval must not keep the round going for ever.
    if (!scanning && untilScan(deps, memory) <= 0 && deps.monotonic() < endAt) {
      scanning = true;
      memory.scannedAt = deps.monotonic();
      begin(async () => {
        await scan(deps, memory, rules, contextOf, stop);
        scanning = false;
      });
    }
    for (const session of dueSessions(memory.fleet, deps.vendorClock.now(), LOOKS_AT_ONCE)) {
      if (deps.inHand.holds(session.sessionId)) {
        session.lookAtMs = null;
        continue;
      }
      session.looking = true;
      begin(async () => {
        try {
          await lookAtSession(deps, memory.fleet, session, contextOf);
        } finally {
          session.looking = false;
        }
      });
    }
    waitMs = Math.max(0, Math.min(untilScan(deps, memory), untilLook(memory.fleet, deps.vendorClock.now())));
    const isOver = deps.monotonic() >= endAt && !scanning;
    goesOn = isOver && !stop.aborted;
    if (isOver || (work.size === 0 && waitMs > LINGER_MS)) break;
    // A scan under way may find what is due at once, and rules and exemptions are to be read again.
    await work.pause(Math.min(Math.max(waitMs, TICK_MS), work.size > 0 ? BUSY_TICK_MS : REFRESH_MS), stop);
  }
  if (!goesOn) await work.finished();
  work.throwIfFailed();
  return waitMs;
}

async function readStanding({
  rules,
  ledger,
  monotonic,
  vendorClock,
}: EnforcementDependencies): Promise<Standing | null> {
  const readAt = monotonic();
  const inForce = await rules.read();
  if (inForce.kind !== 'known') return null;
  return { rules: inForce.rules, exempt: await ledger.exemptions.running(vendorClock.now()), readAt };
}

/** New rules may be about other agents, and may be broken already. */
function scanAllNow(memory: Memory, version: number): void {
  memory.version = version;
  memory.scannedAt = null;
  memory.agentsDueAt = null;
  memory.agentsRetry = null;
  memory.refused = null;
  for (const agent of memory.fleet.agents.values()) {
    agent.retry = null;
    agent.quiet = 0;
    agent.scannedAt = null;
  }
}

const untilScan = ({ monotonic, scanMs }: EnforcementDependencies, { scannedAt }: Memory): number =>
  scannedAt === null ? 0 : scannedAt + scanMs - monotonic();

/** Sessions whose time has come, so many that no more than `most` are looked at in all. Those with a known deadline first. */
function dueSessions({ sessions }: Fleet, nowMs: number | null, most: number): Tracked[] {
  if (nowMs === null) return [];
  let free = most;
  const due: Tracked[] = [];
  for (const session of sessions.values()) {
    if (session.looking) free -= 1;
    else if (session.lookAtMs !== null && session.lookAtMs <= nowMs) due.push(session);
  }
  if (free <= 0) return [];
  return due.sort((a, b) => urgency(a) - urgency(b) || (a.lookAtMs ?? 0) - (b.lookAtMs ?? 0)).slice(0, free);
}

/** After a start there may be thousands of sessions that were never retrieved; a deadline must not wait behind them. */
const urgency = ({ facts: { timeline } }: Tracked): number =>
  timeline.retrievedAtMs !== null || timeline.turn?.startWatched === true ? 0 : 1;

function untilLook({ sessions }: Fleet, nowMs: number | null): number {
  let next = Infinity;
  if (nowMs === null) return next;
  for (const { lookAtMs, looking } of sessions.values()) {
    if (lookAtMs !== null && !looking && lookAtMs < next) next = lookAtMs;
  }
  return next - nowMs;
}

async function scan(
  deps: EnforcementDependencies,
  memory: Memory,
  rules: RulesInForce,
  contextOf: (scanMs: number) => JudgeContext,
  stop: AbortSignal,
): Promise<void> {
  const { fleet } = memory;
  const startedAt = deps.monotonic();
  fleet.endedLately = await lookForEndedTurns(deps);
  const { seen, held } = await scanListed(deps, memory, rules.policies, contextOf, stop).catch((error: unknown) => {
    deps.meters.scan('incomplete', deps.monotonic() - startedAt);
    throw error;
  });
  if (stop.aborted) return;
  forgetOld(fleet, deps.vendorClock.now() ?? 0);
  const selecting = rules.file.cleanup.flatMap(({ select: { match } }) => (match === null ? [] : [{ match }]));
  const named = [...rules.policies, ...selecting];
  memory.coverage = await noteCoverage(deps.ledger, deps.log, fleet, named, memory.coverage, {
    policyVersion: rules.version,
    scanMs: deps.scanMs,
    durationMs: deps.monotonic() - startedAt,
    seen,
    problem: ownProblem(seen) ?? held ?? deps.vendorClock.problem(),
  });
  const { atMs, completeAtMs, durationMs } = memory.coverage;
  deps.meters.scan(completeAtMs === atMs ? 'complete' : 'incomplete', durationMs);
}

/**
 * Lists the agents, where that is due, and the live sessions of those whose turn it is.
 *
 * @returns `held`: what held requests back, for people; null: nothing did
 */
async function scanListed(
  deps: EnforcementDependencies,
  memory: Memory,
  policies: RulesInForce['policies'],
  contextOf: (scanMs: number) => JudgeContext,
  stop: AbortSignal,
): Promise<{ readonly seen: AgentsSeen; readonly held: string | null }> {
  const settings = scanSettings(deps.scanMs, policies);
  const held = deps.limiter.held();
  // Each list by itself would say the same.
  if (held !== null && memory.seen !== null) return { seen: memory.seen, held: held.message };
  const before = memory.refused;
  if (before !== null && memory.seen !== null && !mayAsk(before.retry, deps.monotonic()))
    return { seen: memory.seen, held: before.error.message };
  const seen = await lookForAgents(deps, memory, policies, deps.monotonic());
  // The sessions of agents that are known from before would be refused as well.
  const due = seen.refused === null ? dueAgents(memory.fleet, settings, deps.monotonic()) : [];
  const refused = seen.refused ?? (await scanAgents(deps, memory.fleet, due, settings, contextOf, stop));
  memory.refused = refused === null ? null : { error: refused, retry: again(deps, before?.retry ?? null, refused) };
  return { seen, held: deps.limiter.held()?.message ?? null };
}

const ownProblem = ({ own }: AgentsSeen): string | null =>
  own === null || own.complete ? null : `The agents can't be listed: ${own.problem}`;

const again = (
  { monotonic, scanMs, random }: EnforcementDependencies,
  before: ListRetry | null,
  error: Pick<SessionsError, 'retryAfterMs'>,
): ListRetry => retryList(before, error, monotonic(), scanMs, random());

const longestAsked = ({ lists }: AgentsSeen): number =>
  Math.max(0, ...[...lists.values()].map(({ error }) => error?.retryAfterMs ?? 0));

/** Lists all agents when that is due, and sooner those whose lists failed. */
async function lookForAgents(
  deps: EnforcementDependencies,
  memory: Memory,
  policies: readonly Policy[],
  nowMonotonic: number,
): Promise<AgentsSeen> {
  const { fleet, seen: before, agentsDueAt, agentsRetry } = memory;
  const isDue = agentsDueAt === null || nowMonotonic >= agentsDueAt;
  if (before !== null && !isDue && !(before.mayRecover && mayAsk(agentsRetry, nowMonotonic))) return before;
  const teams = [...fleet.agents.values()].flatMap(({ agent }) => agent.teamId ?? []);
  const seen = await listVisibleAgents(deps, agentsFor(policies), { seen: before, teams, onlyFailed: !isDue });
  if (seen.refused !== null) await deps.account.refused(seen.refused);
  else if (seen.complete) await deps.account.works();
  takeInAgents(fleet, seen.agents, seen.complete, policies);
  memory.seen = seen;
  memory.agentsRetry = seen.complete ? null : again(deps, agentsRetry, { retryAfterMs: longestAsked(seen) });
  if (isDue) memory.agentsDueAt = nowMonotonic + roughly(AGENTS_EVERY_MS, deps.random());
  return seen;
}
