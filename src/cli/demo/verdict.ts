import {
  limitsReached,
  stintsOf,
  type SessionRecord,
  type SessionTruth,
  type Stint,
  type Truth,
  type TurnTruth,
  type World,
} from '../../../simulator/index.js';
import type { OrderResult } from '../../core/contract.js';
import { matches } from '../../core/policy/match.js';
import type { Policy } from '../../core/policy/policy.js';
import { span } from '../output.js';

/** What Curfew says of a session that it has not ordered to end. */
export type Standing = 'exempt' | 'not-watched' | 'waits-for-approval' | 'over' | 'within-limits';

/** What Curfew says of one session, from its ledger. */
export interface Said {
  readonly sessionId: string;
  /** The oldest first. */
  readonly orders: readonly OrderResult[];
  /** Null where there are orders: they say it. */
  readonly standing: Standing | null;
}

/** What Curfew was told to do. */
export interface Told {
  /** In force, all enforcing. */
  readonly policies: readonly Policy[];
  readonly exempt: ReadonlySet<string>;
  /** When the story began, ms since the Unix epoch: turns that were over before are not part of it. */
  readonly since: number;
  /** Workers that were killed while they sent. A request is written down before it leaves, so each may have left one of a session unsent. */
  readonly kills: number;
}

/** What Curfew says of one session, beside what the simulator knows. */
export interface Verdict {
  readonly sessionId: string;
  readonly says: string;
  /** The same without detail: an outcome, or how it was left alone. */
  readonly end: string;
  readonly requests: number;
  readonly knows: string;
  readonly requestsReceived: number;
  readonly agree: boolean;
  /** One sentence for each contradiction. */
  readonly problems: readonly string[];
}

/** The vendor tells its time in whole seconds, ms. */
const CLOCK_MS = 1_000;
/** A broken limit is found, and its turn ended, well within this, ms. */
const DUE_MS = 10_000;

export const NOTHING_TOLD: Told = { policies: [], exempt: new Set(), since: 0, kills: 0 };

/** Compares what Curfew says with what happened. Nothing in here knows the story: it would find a lie. */
export function compare({ sessionId, orders, standing }: Said, world: World, told: Told = NOTHING_TOLD): Verdict {
  const truth = world.truth(sessionId);
  const session = world.findOrNull(sessionId);
  const turns = truth.sessions[sessionId]?.turns ?? [];
  const requests = requestsWritten(orders);
  const unsent = requests - truth.cancels.length;
  const problems = [
    ...orders.flatMap((order) => wrongOutcome(order, turns, truth, told)),
    ...strangers(orders, turns, truth),
    ...(unsent >= 0 && unsent <= told.kills
      ? []
      : [`${requests} requests are written down, ${truth.cancels.length} came`]),
    ...(standing === null || session === null ? [] : wrongStanding(standing, session, told, world)),
    ...(session === null ? [] : brokenRules(session, orders, told, world)),
  ];
  return {
    sessionId,
    says: sayingOf(orders, standing),
    end: orders.at(-1)?.outcome ?? (standing === null ? 'open' : STANDING_WORDS[standing]),
    requests,
    knows: knowledgeOf(truth.sessions[sessionId], truth.now, told.since),
    requestsReceived: truth.cancels.length,
    agree: problems.length === 0,
    problems,
  };
}

/** Orders on the same turn share its requests. */
function requestsWritten(orders: readonly OrderResult[]): number {
  const byTurn = new Map<string | null, number>();
  for (const { turnKey, attempts } of orders) byTurn.set(turnKey, Math.max(byTurn.get(turnKey) ?? 0, attempts));
  return [...byTurn.values()].reduce((sum, attempts) => sum + attempts, 0);
}

const endedByRequest = ({ endedBy }: Pick<TurnTruth, 'endedBy'>): boolean =>
  typeof endedBy === 'object' && endedBy !== null;

function wrongOutcome(order: OrderResult, turns: readonly TurnTruth[], truth: Truth, told: Told): string[] {
  const ordered = turns.find(({ turnKey }) => turnKey === order.turnKey);
  const ours = ordered !== undefined && endedByRequest(ordered);
  const wrong = (why: string): string[] => [`Curfew says ${order.outcome ?? 'nothing yet'}, but ${why}`];
  if (ordered !== undefined && ordered.createdAt > Date.parse(order.orderedAt)) {
    return wrong('the turn began after the order');
  }
  switch (order.outcome) {
    case 'cancelled':
      return ours && ordered.endedAs === 'failed' ? [] : wrong('no request ended the turn');
    case 'already-ended':
      return ordered?.endedAt != null && !ours
        ? []
        : wrong(ours ? 'a request ended the turn' : 'the turn has not ended');
    case 'superseded': {
      const newest = turns.at(-1);
      const newerRuns = newest !== undefined && newest !== ordered && newest.endedAt === null;
      return newerRuns && truth.cancels.length === 0 ? [] : wrong('no newer turn runs untouched');
    }
    case 'no-longer-violating':
      return ours ? wrong('a request ended the turn') : [];
    case 'exempted':
      return !ours && told.exempt.has(order.sessionId) ? [] : wrong('the session is not exempt, or its turn was ended');
    default:
      return wrong('that is no end');
  }
}

/** Whoever was touched without an order. */
function strangers(orders: readonly OrderResult[], turns: readonly TurnTruth[], { cancels }: Truth): string[] {
  const ordered = (key: string | null): boolean => orders.some(({ turnKey }) => turnKey !== null && turnKey === key);
  return [
    ...turns
      .filter((turn) => endedByRequest(turn) && !ordered(turn.turnKey))
      .map(() => 'a turn was ended by a request, which nobody had ordered'),
    ...cancels
      .filter(({ turnInFlight }) => !ordered(turnInFlight))
      .map(() => 'a cancel request came for a turn that nobody had ordered to end'),
  ];
}

function wrongStanding(standing: Standing, session: SessionRecord, told: Told, world: World): string[] {
  const { state } = session;
  const inFlight = state === 'processing' || state === 'queued';
  const right: Record<Standing, boolean> = {
    exempt: told.exempt.has(session.id),
    // No policy is about it, or it was over before the first look.
    'not-watched': !inFlight || rulesFor(session, told, world).length === 0,
    'waits-for-approval': state === 'approval_required',
    // Whether a limit was broken is looked at below.
    'within-limits': inFlight,
    over: !inFlight,
  };
  return right[standing] ? [] : [`Curfew says "${STANDING_WORDS[standing]}", but the session is ${state}`];
}

function rulesFor(session: SessionRecord, { policies }: Told, world: World): readonly Policy[] {
  const { id: agentId, name: agentName, teamId } = world.agentOf(session);
  const subject = { agentId, agentName, teamId, creatorId: session.creatorUserId, creatorEmail: null };
  return policies.filter(({ match }) => matches(match, subject));
}

/** Turns that broke a rule and were left alone, and turns that were ended although they broke none. */
function brokenRules(session: SessionRecord, orders: readonly OrderResult[], told: Told, world: World): string[] {
  const now = world.now();
  const rules = told.exempt.has(session.id) ? [] : rulesFor(session, told, world);
  return stintsOf(session).flatMap((stint) => {
    const reached = rules
      .flatMap(({ limits }) => limitsReached(session, stint, limits, now))
      .sort((a, b) => a.at - b.at);
    const [first] = reached;
    const about = orders.filter(({ turnKey }) => turnKey === stint.key);
    if (first !== undefined && (stint.to ?? now) - first.at > DUE_MS) {
      const over = span((stint.to ?? now) - first.at);
      if (stint.to === null) return [`a turn has been over its ${first.limit} for ${over}, and still runs`];
      if (about.length === 0) return [`a turn was over its ${first.limit} for ${over}, and nobody ordered its end`];
    }
    return wronglyEnded(stint, about, first?.at ?? null) ? ['a turn was ended that had broken no limit'] : [];
  });
}

/** Ended by a policy's request before it had reached a limit. What started again after that may be ended for that alone. */
function wronglyEnded({ to, endedBy }: Stint, about: readonly OrderResult[], reachedAt: number | null): boolean {
  if (to === null || typeof endedBy !== 'object' || endedBy === null) return false;
  const byRule = about.some(({ reason }) => reason.policy === null || reason.limit?.['name'] === 'on_restart');
  return about.length > 0 && !byRule && (reachedAt === null || reachedAt > to + CLOCK_MS);
}

/** Before what Curfew says of a session that it never ordered to end. */
export const LEFT_ALONE = 'left alone: ';

const STANDING_WORDS: Readonly<Record<Standing, string>> = {
  exempt: `${LEFT_ALONE}exempt`,
  'not-watched': `${LEFT_ALONE}not watched`,
  'waits-for-approval': `${LEFT_ALONE}needs approval`,
  over: `${LEFT_ALONE}ended`,
  'within-limits': `${LEFT_ALONE}within limits`,
};

function sayingOf(orders: readonly OrderResult[], standing: Standing | null): string {
  const last = orders.at(-1);
  if (last === undefined) return standing === null ? 'nothing' : STANDING_WORDS[standing];
  const outcome = last.outcome ?? 'open';
  if (orders.length > 1 && orders.every((order) => order.outcome === last.outcome))
    return `${outcome}, ${orders.length} turns`;
  const limit = last.reason.limit?.['name'];
  const detail = typeof limit === 'string' ? `: ${limit}` : last.attribution === null ? '' : ` (${last.attribution})`;
  return `${outcome}${detail}`;
}

function knowledgeOf(session: SessionTruth | undefined, now: number, since: number): string {
  const last = session?.turns.at(-1);
  if (session === undefined || last === undefined) return 'no turn';
  const recent = session.turns.filter(({ endedAt }) => endedAt === null || endedAt > since);
  if (recent.length > 1) {
    const [first] = recent;
    const sameEnd = recent.every((turn) => turn.endedAt !== null && endedByRequest(turn));
    if (sameEnd) return `${recent.length} turns ended by request`;
    return `${first === undefined ? '' : endWords(first)}; the next ${last.endedAt === null ? 'runs' : endWords(last)}`;
  }
  const age = span((last.endedAt ?? now) - last.createdAt);
  if (last.endedAt !== null) return `${endWords(last)} after ${age}`;
  if (session.state === 'queued') return `waits since ${age}`;
  return session.state === 'approval_required' ? 'waits for approval' : `runs since ${age}`;
}

const endWords = (turn: TurnTruth): string => (endedByRequest(turn) ? 'ended by request' : 'ended by itself');
