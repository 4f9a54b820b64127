import type { AgentInput, SessionInput } from '../simulator/index.js';
import { longId, worstAgent, worstSession } from './worst-vendor.js';

/** Limits of the policies that both contestants enforce. Long, so that no well-behaved turn comes near within a run. */
export const LIMITS = { runtimeMs: 60 * 60_000, credits: 500 } as const;

/** The same limits as Curfew reads them. Its circuit breaker is opened wide: ending very many is what is measured here. */
export const POLICY_FILE = `version: 1
policies:
  - name: bench-runtime
    match: { agents: ['bench-*'] }
    limits: { max_runtime: ${LIMITS.runtimeMs / 60_000}m }
    mode: enforce
    caps: { max_cancels: 1000000, max_percent: 100, per: 1h }
  - name: bench-credits
    match: { agents: ['bench-*'] }
    limits: { max_credits: ${LIMITS.credits} }
    mode: enforce
    caps: { max_cancels: 1000000, max_percent: 100, per: 1h }
`;

/** Times are ms after the moment at which the fleet comes into being. */
export interface FleetShape {
  readonly sessions: number;
  readonly agents: number;
  /** Sent by the worst vendor that there may be. */
  readonly worst?: boolean;
  readonly violators: {
    /** Turns that reach `max_runtime`, one after the other at even distances. */
    readonly runtime: number;
    /** Turns that reach `max_credits` within the same time. */
    readonly credits: number;
    readonly fromMs: number;
    readonly toMs: number;
  };
  /** Further sessions, whose turns reach `max_runtime` within one second. */
  readonly burst?: { readonly sessions: number; readonly fromMs: number };
}

/** Sessions with a turn in flight or about to be, of all kinds. */
export const sessionsIn = ({ sessions, burst }: FleetShape): number => sessions + (burst?.sessions ?? 0);

/**
 * What a session does.
 *
 * - `steady`, `old`, `queued`: runs, runs in a conversation far older than any limit, waits for a slot
 * - `churning`: its turn ends, it rests, the next turn begins, and so on
 * - `close-call`: its turn ends by itself just before its limit
 * - `over-runtime`, `over-credits`, `burst`: violators
 */
export type Kind = 'steady' | 'old' | 'queued' | 'churning' | 'close-call' | ViolatorKind;
export type ViolatorKind = 'over-runtime' | 'over-credits' | 'burst';

export const isViolator = (kind: Kind): kind is ViolatorKind =>
  kind === 'over-runtime' || kind === 'over-credits' || kind === 'burst';

export interface PlannedSession {
  readonly kind: Kind;
  readonly input: SessionInput & { readonly id: string };
  /** For `churning`: each turn runs for so long, and rests for so long after it, ms. */
  readonly cycle: { readonly runsMs: number; readonly restsMs: number } | null;
}

/** Shares of the sessions that are left beside the violators; the rest is steady. */
const SHARES = { old: 0.2, churning: 0.1, queued: 0.05, 'close-call': 0.01 } as const;
/** A close call ends so long before its limit, ms. */
const CLOSE_CALL_MS = 2_000;
/** The limits of a burst are reached within so long, ms. */
const BURST_MS = 1_000;
const MINUTE = 60_000;

export const agentsOf = ({ agents, worst = false }: FleetShape): AgentInput[] =>
  Array.from({ length: agents }, (_, index) => {
    const agent = { id: `agent_${index}`, name: `bench-agent-${index}` };
    return worst ? worstAgent(agent, index) : agent;
  });

/** The same shape gives the same fleet, in every process. */
export function planFleet(shape: FleetShape): PlannedSession[] {
  const { sessions, agents, violators, burst, worst = false } = shape;
  const kinds: Kind[] = [
    ...Array<Kind>(violators.runtime).fill('over-runtime'),
    ...Array<Kind>(violators.credits).fill('over-credits'),
  ];
  const others = sessions - kinds.length;
  for (const [kind, share] of Object.entries(SHARES)) {
    kinds.push(...Array<Kind>(Math.max(1, Math.round(share * others))).fill(kind as Kind));
  }
  kinds.push(...Array<Kind>(Math.max(0, sessions - kinds.length)).fill('steady'));
  const all = [...kinds.slice(0, sessions), ...Array<Kind>(burst?.sessions ?? 0).fill('burst')];

  const counts = countBy(all);
  const places = new Map<Kind, number>();
  return all.map((kind, index) => {
    const place = places.get(kind) ?? 0;
    places.set(kind, place + 1);
    // Where it stands among its kind, from 0 to 1: turns of one kind differ in age evenly.
    const share = (place + 0.5) / (counts[kind] ?? 1);
    const within =
      kind === 'burst' && burst !== undefined
        ? { fromMs: burst.fromMs, toMs: burst.fromMs + BURST_MS }
        : { fromMs: violators.fromMs, toMs: violators.toMs };
    const { input, cycle } = behaviour(kind, share, place, within);
    const id = worst ? longId(`sess_${index}`) : `sess_${index}`;
    const what = worst ? worstSession(input, index, brokenBy(kind)) : input;
    return { kind, cycle, input: { ...what, id, agent: `agent_${index % agents}` } };
  });
}

const brokenBy = (kind: Kind): 'runtime' | 'credits' | null =>
  isViolator(kind) ? (kind === 'over-credits' ? 'credits' : 'runtime') : null;

interface Behaviour {
  readonly input: Omit<SessionInput, 'agent'>;
  readonly cycle: PlannedSession['cycle'];
}

/** @param within - when turns that break a limit do so, ms after the fleet came into being */
function behaviour(
  kind: Kind,
  share: number,
  place: number,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Behaviour {
  const dueMs = fromMs + share * (toMs - fromMs);
  // Within no credit limit for as long as a run can take.
  const usagePerSecond = { credits: 0.05, toolCredits: 0.01, inputTokens: 120, outputTokens: 25 };
  const plain = (input: Omit<SessionInput, 'agent'>): Behaviour => ({
    input: { usagePerSecond, ...input },
    cycle: null,
  });
  // Every other one speaks in a conversation with a past: its turn is young, its session is old.
  const earlierTurns = place % 2 === 0 ? 0 : 3;
  switch (kind) {
    case 'steady':
      return plain({ turnAge: share * 10 * MINUTE });
    case 'old':
      return plain({ turnAge: share * 10 * MINUTE, earlierTurns: 5, age: 5 * LIMITS.runtimeMs });
    case 'queued':
      return plain({ turnAge: share * 10 * MINUTE, state: 'queued' });
    case 'churning': {
      const cycle = { runsMs: 20_000 + share * 40_000, restsMs: 20_000 + share * 20_000 };
      return { ...plain({ runsFor: cycle.runsMs, earlierTurns: 1 }), cycle };
    }
    case 'close-call':
      return plain({ turnAge: LIMITS.runtimeMs - dueMs, runsFor: Math.max(0, dueMs - CLOSE_CALL_MS), earlierTurns });
    case 'over-runtime':
    case 'burst':
      return plain({ turnAge: LIMITS.runtimeMs - dueMs, earlierTurns });
    case 'over-credits':
      return plain({ turnAge: Math.max(0, LIMITS.credits * 1_000 - dueMs), usagePerSecond: { credits: 1 } });
  }
}

/**
 * When a violator's turn reaches its limit, ms since the Unix epoch.
 *
 * @param startedAt - of its turn, by the simulator's truth
 */
export const deadlineOf = (kind: ViolatorKind, startedAt: number): number =>
  startedAt + (kind === 'over-credits' ? LIMITS.credits * 1_000 : LIMITS.runtimeMs);

export function countBy(kinds: readonly Kind[]): Partial<Record<Kind, number>> {
  const counts: Partial<Record<Kind, number>> = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
