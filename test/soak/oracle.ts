import type { OrderResult } from '../../src/core/contract.js';
import { matches } from '../../src/core/policy/match.js';
import type { Policy } from '../../src/core/policy/policy.js';
import {
  limitsReached,
  stintsOf,
  type Reached,
  type SessionRecord,
  type Stint,
  type Truth,
  type World,
} from '../../simulator/index.js';
import { contradictions, type ServedRead } from '../support/oracle.js';
import type { Struck } from './faults.js';

/** A row of the ledger's cancel requests. */
export interface WrittenRequest {
  readonly sessionId: string;
  readonly turnKey: string;
  /** It was taken back before it left. */
  readonly withdrawn: boolean;
  /** The vendor answered it. */
  readonly answered: boolean;
}

export interface SoakEvidence {
  readonly world: World;
  readonly sessionIds: readonly string[];
  readonly policies: readonly Policy[];
  readonly exempt: ReadonlySet<string>;
  readonly orders: readonly OrderResult[];
  readonly requests: readonly WrittenRequest[];
  readonly reads: readonly ServedRead[];
  readonly struck: readonly Struck[];
  readonly kills: number;
  /** Within this a violation has to be ordered to end, ms. */
  readonly dueMs: number;
}

/** From the moment at which a turn reached a limit to the arrival of the first cancel request for it. */
export interface Lag {
  readonly sessionId: string;
  readonly turnKey: string;
  readonly limit: string;
  readonly reachedAt: string;
  readonly ms: number;
}

export interface SoakFindings {
  /** Turns that reached a limit while a policy was about their session. */
  readonly violations: number;
  /** Of those: by how they ended. */
  readonly violationsBy: Readonly<Record<string, number>>;
  /** Turns that reached none. */
  readonly innocents: number;
  readonly lags: readonly Lag[];
  /** Turns that the vendor's race let a request hit, and that were reported. */
  readonly newerTurnsHitAndTold: number;
  /** By kind, one sentence for each. */
  readonly disagreements: Readonly<Record<string, readonly string[]>>;
}

/** The vendor tells its time in whole seconds, ms. */
const CLOCK_MS = 1_000;

/** Compares, case by case, what the ledger says with what the simulator knows. */
export function judgeSoak(evidence: SoakEvidence): SoakFindings {
  const found: Record<string, string[]> = {
    I1: [],
    I2: [],
    I3: [],
    I4: [],
    missed: [],
    stillRuns: [],
    wronglyEnded: [],
    requestWithoutOrder: [],
    requestsDiffer: [],
    untrueOutcome: [],
  };
  const violationsBy: Record<string, number> = {};
  const lags: Lag[] = [];
  let innocents = 0;
  let newerTurnsHitAndTold = 0;
  const { world, kills } = evidence;
  const now = world.now();

  for (const sessionId of evidence.sessionIds) {
    const session = world.find(sessionId);
    const stints = stintsOf(session);
    const orders = evidence.orders.filter((order) => order.sessionId === sessionId);
    const reads = evidence.reads.filter((read) => read.sessionId === sessionId);
    const truth = truthByStint(world.truth(sessionId), sessionId, session, stints);
    const basic = contradictions({ orders, truth, reads, kills });
    for (const [kind, texts] of Object.entries(basic)) found[kind]?.push(...texts);

    const rules = rulesFor(evidence, session);
    for (const stint of stints) {
      const about = orders.filter(({ turnKey }) => turnKey === stint.key);
      const what = `${sessionId} (${stint.key})`;
      const [reached] = reachedBy(rules, session, stint, now);
      const byUs = typeof stint.endedBy === 'object' && stint.endedBy !== null;
      if (reached === undefined) innocents += 1;
      else {
        const by = stint.to === null ? 'runs' : byUs ? 'ended by request' : 'ended otherwise';
        violationsBy[by] = (violationsBy[by] ?? 0) + 1;
        const first = truth.cancels.find(({ turnInFlight }) => turnInFlight === stint.key);
        if (first !== undefined) {
          const { limit, at } = reached;
          lags.push({ sessionId, turnKey: stint.key, limit, reachedAt: iso(at), ms: first.at - at });
        }
      }
      const [certain] = certainlyReached(rules, session, stint, now);
      if (certain !== undefined && (stint.to ?? now) - certain.at > evidence.dueMs && about.length === 0) {
        found['missed']?.push(
          `${what}: over its ${certain.limit} for ${(stint.to ?? now) - certain.at} ms, and nobody ordered its end`,
        );
      }
      if (certain !== undefined && stint.to === null && about.length > 0 && !about.some(isReported)) {
        found['stillRuns']?.push(
          `${what}: runs, and nobody was told: ${about.map(({ outcome }) => outcome).join(', ')}`,
        );
      }
      if (!byUs || stint.to === null) continue;
      const wasTold = toldOf(orders, stint.key);
      if (about.length === 0 && wasTold) newerTurnsHitAndTold += 1;
      if (!isLawful(stint, about, reached ?? null, session) && !(about.length === 0 && wasTold)) {
        const cancel = truth.cancels.find(({ endedTurn }) => endedTurn === stint.key);
        const why = about.map(({ reason, orderedAt }) => `${orderedAt} ${reason.policy}: ${reason.text}`).join('; ');
        found['wronglyEnded']?.push(
          `${what}: began ${iso(stint.from)}, ended ${iso(stint.to)}, reached ${reached === undefined ? 'no limit' : `${reached.limit} at ${iso(reached.at)}`}; orders: ${why || 'none'}; request: ${JSON.stringify(cancel ?? null)}`,
        );
      }
    }
    found['requestWithoutOrder']?.push(...requestsWithoutOrder(truth, orders));
    found['requestsDiffer']?.push(...requestsDiffer(evidence, truth, sessionId));
    found['untrueOutcome']?.push(...orders.flatMap((order) => untrueReport(order, evidence)));
  }
  const violations = Object.values(violationsBy).reduce((sum, count) => sum + count, 0);
  return { violations, violationsBy, innocents, lags, newerTurnsHitAndTold, disagreements: found };
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** The truth with a turn for each user message: that is how Curfew has to count, because the vendor has no turn id. */
function truthByStint(truth: Truth, sessionId: string, session: SessionRecord, stints: readonly Stint[]): Truth {
  const own = truth.sessions[sessionId];
  if (own === undefined) return truth;
  const endOf = new Map(session.turns.map((turn) => [turn.key, turn]));
  const turns = stints.map(({ key, from, to, endedBy }) => ({
    turnKey: key,
    earlierKeys: [],
    createdAt: from,
    startedAt: endOf.get(key)?.startedAt ?? from,
    endedAt: to,
    endedAs: endedBy === 'steered' ? ('superseded' as const) : (endOf.get(key)?.endedAs ?? null),
    endedBy: endedBy === 'steered' ? ('natural' as const) : endedBy,
  }));
  return { ...truth, sessions: { [sessionId]: { ...own, turns } } };
}

function rulesFor({ world, policies, exempt }: SoakEvidence, session: SessionRecord): readonly Policy[] {
  if (exempt.has(session.id)) return [];
  const { id: agentId, name: agentName, teamId } = world.agentOf(session);
  const subject = { agentId, agentName, teamId, creatorId: session.creatorUserId, creatorEmail: null };
  return policies.filter(({ match }) => matches(match, subject));
}

const reachedBy = (rules: readonly Policy[], session: SessionRecord, stint: Stint, now: number): Reached[] =>
  rules.flatMap(({ limits }) => limitsReached(session, stint, limits, now)).sort((a, b) => a.at - b.at);

/**
 * Limits that nobody who looks every few seconds can fail to see: the time since the turn last began to process, and twice the
 * credits, because what a turn had spent before it was first seen is not charged to it.
 */
function certainlyReached(rules: readonly Policy[], session: SessionRecord, stint: Stint, now: number): Reached[] {
  const lastRun = session.periods.findLast(({ from }) => from < (stint.to ?? now))?.from ?? stint.from;
  const fromLastRun = { ...stint, from: Math.max(stint.from, lastRun) };
  return rules
    .flatMap(({ limits: { max_runtime, max_queue_time, max_credits } }) => [
      ...limitsReached(session, fromLastRun, { max_runtime, max_queue_time: null, max_credits: null }, now),
      ...limitsReached(
        session,
        stint,
        { max_runtime: null, max_queue_time, max_credits: max_credits === null ? null : 2 * max_credits },
        now,
      ),
    ])
    .sort((a, b) => a.at - b.at);
}

const REPORTED: ReadonlySet<string> = new Set(['forbidden', 'gone', 'retries-exhausted', 'not-in-flight', 'capped']);
const isReported = ({ outcome }: OrderResult): boolean => outcome !== null && REPORTED.has(outcome);

const toldOf = (orders: readonly OrderResult[], key: string): boolean =>
  orders.some(({ events }) =>
    events.some((event) => event.kind === 'may-have-hit-newer-turn' && event['turnKey'] === key),
  );

/** Whether a turn that was ended by a request had broken a limit by then, by the truth or by what could be seen of it. */
function isLawful(
  stint: Stint,
  about: readonly OrderResult[],
  reached: Reached | null,
  session: SessionRecord,
): boolean {
  const to = stint.to ?? 0;
  if (about.length === 0) return false;
  if (reached !== null && reached.at <= to + CLOCK_MS) return true;
  return about.some(({ reason }) => {
    if (reason.limit?.['name'] === 'on_restart') return true;
    // Seen in flight at the first sight: then nobody can tell waiting from running, and the reason says so.
    const value = reason.limit?.['value'];
    const fromMessage = reason.text?.includes('counted from its message') === true;
    const waited = session.transitions.some(({ state, at }) => state !== 'processing' && at >= stint.from && at < to);
    return fromMessage && waited && typeof value === 'number' && to - stint.from >= value - CLOCK_MS;
  });
}

function requestsWithoutOrder({ cancels }: Truth, orders: readonly OrderResult[]): string[] {
  return cancels.flatMap(({ sessionId, at, turnInFlight, fault }) => {
    if (orders.some(({ turnKey }) => turnKey === turnInFlight)) return [];
    // It came too late: the turn was over, and nothing was hit.
    if (turnInFlight === null && orders.some(({ orderedAt }) => Date.parse(orderedAt) <= at)) return [];
    if (turnInFlight !== null && toldOf(orders, turnInFlight)) return [];
    return [
      `${sessionId}: request at ${iso(at)} (${fault ?? 'no fault'}) for ${turnInFlight}, which nobody had ordered`,
    ];
  });
}

/** What has an answer of the vendor's has arrived; what arrived was written down before. */
function requestsDiffer({ requests }: SoakEvidence, { cancels }: Truth, sessionId: string): string[] {
  const written = requests.filter((row) => row.sessionId === sessionId && !row.withdrawn);
  const answered = written.filter((row) => row.answered).length;
  if (answered <= cancels.length && cancels.length <= written.length) return [];
  return [
    `${sessionId}: ${cancels.length} requests came, the ledger has ${answered} answered, of ${written.length} written`,
  ];
}

/** Reports that no fault accounts for. */
function untrueReport({ sessionId, turnKey, outcome }: OrderResult, { struck, exempt }: SoakEvidence): string[] {
  const struckBy = (fault: string): boolean => struck.some((one) => one.sessionId === sessionId && one.fault === fault);
  const untrue = (why: string): string[] => [`${sessionId} (${turnKey}): ${outcome}, but ${why}`];
  switch (outcome) {
    case 'forbidden':
      return struckBy('forbidden-session') ? [] : untrue('the vendor never said so of it');
    case 'gone':
      return struckBy('not-found') ? [] : untrue('the vendor never said so of it');
    case 'exempted':
      return exempt.has(sessionId) ? [] : untrue('it is not exempt');
    case 'retries-exhausted':
    case 'abandoned':
    case 'capped':
      return untrue('nothing in this run leads to that');
    default:
      return [];
  }
}
