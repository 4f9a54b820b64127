import type { OrderResult, Outcome } from '../../src/core/contract.js';
import type { CancelRecord, SessionState, Truth, TurnTruth, World } from '../../simulator/index.js';

/** A read of a session, as the simulator served it. */
export interface ServedRead {
  readonly sessionId: string;
  /** The world's clock, ms. */
  readonly at: number;
  readonly state: SessionState;
  /** Id of the last user message that the read showed. */
  readonly turnKey: string | null;
}

/** Keeps what every read of the world shows from now on. */
export function recordReads(world: World): readonly ServedRead[] {
  const reads: ServedRead[] = [];
  const look = world.look.bind(world);
  world.look = (session, now) => {
    const seen = look(session, now);
    const shown = session.messages.slice(0, seen.messageCount).findLast(({ role }) => role === 'user');
    reads.push({ sessionId: session.id, at: now, state: seen.state, turnKey: shown?.id ?? null });
    return seen;
  };
  return reads;
}

/** Invariant I1, ms. */
const FRESH_MS = 2_000;
/**
 * Between our clock at sending and the simulator's at arrival lie two processes that have to be scheduled, on a machine
 * where both may stand still for seconds, ms. That it is 2 s at sending is proven on a fake clock, in the gate's tests.
 */
const SCHEDULING_MS = 10_000;

/** Outcomes that tell someone that the turn may still run. */
const REPORTED: readonly Outcome[] = [
  'exempted',
  'capped',
  'no-longer-violating',
  'not-in-flight',
  'gone',
  'forbidden',
  'retries-exhausted',
  'abandoned',
];

export interface Evidence {
  readonly orders: readonly OrderResult[];
  readonly truth: Truth;
  readonly reads: readonly ServedRead[];
  /** Times that a worker was killed: each may have written a request into the ledger that never left. */
  readonly kills: number;
}

type Invariant = 'I1' | 'I2' | 'I3' | 'I4';

/**
 * Compares what Curfew says with what really happened.
 *
 * @returns by invariant, one sentence for each contradiction
 */
export function contradictions(evidence: Evidence): Readonly<Record<Invariant, string[]>> {
  return {
    I1: requestsWithoutFreshRead(evidence),
    I2: ordersNotCarriedOut(evidence),
    I3: Object.entries(evidence.truth.sessions).flatMap(([id, { maxConcurrentCancels: most }]) =>
      most > 1 ? [`${id}: ${most} cancel requests side by side`] : [],
    ),
    I4: [
      ...evidence.orders.flatMap((order) => wrongOutcome(order, evidence)),
      ...wrongCounts(evidence),
      ...strangersEnded(evidence),
    ],
  };
}

const turnsOf = (truth: Truth, sessionId: string): readonly TurnTruth[] => truth.sessions[sessionId]?.turns ?? [];
/** The ordered turn; where no read has shown it, the one that was the last when the order was given. */
function turnOf(truth: Truth, { sessionId, turnKey, orderedAt }: OrderResult): TurnTruth | undefined {
  const turns = turnsOf(truth, sessionId);
  if (turnKey === null) return turns.findLast((turn) => turn.createdAt <= Date.parse(orderedAt));
  return turns.find((turn) => turn.turnKey === turnKey);
}

const endedByUs = (turn: TurnTruth): boolean => typeof turn.endedBy === 'object' && turn.endedBy !== null;
const tellsOf = (order: OrderResult, kind: string): boolean => order.events.some((event) => event.kind === kind);

function requestsWithoutFreshRead({ orders, truth, reads }: Evidence): string[] {
  return truth.cancels.flatMap(({ sessionId, at }) => {
    const ordered = orders.filter((order) => order.sessionId === sessionId).map(({ turnKey }) => turnKey);
    const before = reads.filter((read) => read.sessionId === sessionId && read.at <= at);
    const fresh = before.some(
      (read) =>
        at - read.at <= FRESH_MS + SCHEDULING_MS &&
        (read.state === 'processing' || read.state === 'queued') &&
        ordered.includes(read.turnKey),
    );
    const last = before.at(-1);
    const known = last === undefined ? 'none at all' : `${last.state} of ${last.turnKey}, ${at - last.at} ms before`;
    return fresh ? [] : [`${sessionId}: request at ${at} without a fresh read of an ordered turn; last read: ${known}`];
  });
}

function ordersNotCarriedOut({ orders, truth }: Evidence): string[] {
  return orders.flatMap((order) => {
    const what = `${order.sessionId} (${order.turnKey}): ${order.outcome}`;
    if (order.outcome === null) return [`${what}: no outcome`];
    if (REPORTED.includes(order.outcome)) return [];
    const turn = turnOf(truth, order);
    return turn?.endedAt == null ? [`${what}, but the turn has not ended`] : [];
  });
}

function wrongOutcome(order: OrderResult, { truth }: Evidence): string[] {
  const turn = turnOf(truth, order);
  const { outcome, attribution, sessionId, turnKey } = order;
  const what = `${sessionId} (${turnKey}): ${outcome} ${attribution ?? ''}`;
  const wrong = (why: string): string[] => [`${what}, but ${why}`];
  if (turn === undefined) {
    return outcome !== null && REPORTED.includes(outcome) ? [] : wrong('there is no such turn');
  }
  const requested = truth.cancels.some(
    (cancel) => cancel.sessionId === sessionId && cancel.turnInFlight === turn.turnKey,
  );
  switch (outcome) {
    case 'cancelled':
      if (endedByUs(turn)) return [];
      // The one race that the vendor leaves open; it has to be told.
      if (tellsOf(order, 'may-have-hit-newer-turn')) return [];
      // The vendor said that it had ended the turn, and had not: nobody can tell.
      if (truth.cancels.some((cancel) => isFalseWord(cancel, sessionId, turn))) return [];
      if (attribution === 'strong') return wrong(`it ended by ${JSON.stringify(turn.endedBy)}`);
      return requested && turn.endedAs === 'failed' ? [] : wrong('no request of ours can have ended it');
    case 'already-ended':
      return endedByUs(turn) ? wrong('we ended it') : [];
    case 'superseded':
      return endedByUs(turn) || requested ? wrong('we sent a request for it') : [];
    case 'ended-unattributed':
      // Also of a request that came too late, or whose sender died first: whether it came is counted below.
      return requested || order.attempts > 0 ? [] : wrong('nothing was sent that could have ended it');
    case 'not-in-flight':
    case 'exempted':
    case 'capped':
    case 'no-longer-violating':
      return endedByUs(turn) ? wrong('we ended it') : [];
    default:
      return [];
  }
}

const isFalseWord = (
  { sessionId, turnInFlight, answered, effect }: CancelRecord,
  ofSession: string,
  { turnKey }: TurnTruth,
): boolean => sessionId === ofSession && turnInFlight === turnKey && answered.state === 'failed' && !effect;

/** Requests in the ledger against those that arrived. A worker that is killed may have written one that never left. */
function wrongCounts({ orders, truth, kills }: Evidence): string[] {
  const sessions = [...new Set(orders.map(({ sessionId }) => sessionId))];
  return sessions.flatMap((sessionId) => {
    const about = orders.filter((candidate) => candidate.sessionId === sessionId);
    // Orders on one turn share its requests when they are open together, and have their own when one follows the other.
    const byTurn = new Map<string | null, number>();
    for (const { turnKey, attempts } of about) byTurn.set(turnKey, Math.max(byTurn.get(turnKey) ?? 0, attempts));
    const least = [...byTurn.values()].reduce((sum, attempts) => sum + attempts, 0);
    const most = about.reduce((sum, { attempts }) => sum + attempts, 0);
    const received = truth.cancels.filter((cancel) => cancel.sessionId === sessionId).length;
    const fits = received <= most && least <= received + kills;
    const written = least === most ? `${most}` : `${least} to ${most}`;
    return fits ? [] : [`${sessionId}: ${written} requests in the ledger, ${received} received, ${kills} kills`];
  });
}

/** Turns that we ended though nobody had ordered it. The vendor's race is no excuse for not telling. */
function strangersEnded({ orders, truth }: Evidence): string[] {
  return Object.entries(truth.sessions).flatMap(([sessionId, { turns }]) => {
    const about = orders.filter((order) => order.sessionId === sessionId);
    const told = (key: string): boolean =>
      about.some(({ events }) =>
        events.some((event) => event.kind === 'may-have-hit-newer-turn' && event['turnKey'] === key),
      );
    return turns
      .filter(
        (turn) => endedByUs(turn) && !about.some(({ turnKey }) => turnKey === turn.turnKey) && !told(turn.turnKey),
      )
      .map(({ turnKey }) => `${sessionId}: ended ${turnKey}, which nobody had ordered, and did not tell`);
  });
}
