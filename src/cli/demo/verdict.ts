import type { SessionTruth, Truth } from '../../../simulator/index.js';
import type { OrderResult } from '../../contract.js';

/** What Curfew says of one session, beside what the simulator knows. */
export interface Verdict {
  readonly sessionId: string;
  readonly says: string;
  readonly requests: number;
  readonly knows: string;
  readonly requestsReceived: number;
  readonly agree: boolean;
}

/** Compares an order's result with the truth. Nothing in here knows the story: it would find a lie. */
export function compare(result: OrderResult, truth: Truth): Verdict {
  const session = truth.sessions[result.sessionId];
  const received = truth.cancels.filter(({ sessionId }) => sessionId === result.sessionId);
  const ordered = session?.turns.find(({ turnKey }) => turnKey === result.turnKey);
  // A turn that began after the order was never meant.
  const meant = ordered === undefined || ordered.createdAt <= Date.parse(result.orderedAt);
  const endedByUs = ordered?.endedBy !== null && typeof ordered?.endedBy === 'object';
  const newest = session?.turns.at(-1);
  const newerRuns = newest !== undefined && newest !== ordered && newest.endedAt === null;
  const newerHarmed = (session?.turns ?? []).some(
    ({ turnKey, endedBy }) => turnKey !== result.turnKey && typeof endedBy === 'object' && endedBy !== null,
  );

  let right: boolean;
  switch (result.outcome) {
    case 'cancelled':
      right = endedByUs && ordered.endedAs === 'failed';
      break;
    case 'already-ended':
      right = ordered?.endedAt != null && !endedByUs;
      break;
    case 'superseded':
      // An order that never saw its turn carries no key; then the turns before the newest one must have ended by themselves.
      right = newerRuns && received.length === 0;
      break;
    default:
      right = false;
  }
  return {
    sessionId: result.sessionId,
    says: `${result.outcome ?? 'open'}${result.attribution === null ? '' : ` (${result.attribution})`}`,
    requests: result.attempts,
    knows: describeTruth(session, received.length),
    requestsReceived: received.length,
    agree: right && meant && !newerHarmed && result.attempts === received.length,
  };
}

function describeTruth(session: SessionTruth | undefined, received: number): string {
  if (session === undefined) return 'no such session';
  const turns = session.turns.map(({ endedAt, endedAs, endedBy }) => {
    if (endedAt === null) return 'runs';
    return `${endedAs ?? 'ended'} ${typeof endedBy === 'object' && endedBy !== null ? 'by a cancel request' : 'by itself'}`;
  });
  const list = turns.map((text, index) => (turns.length === 1 ? text : `turn ${index + 1} ${text}`)).join(', ');
  return `${list}; ${received} ${received === 1 ? 'request' : 'requests'} received`;
}
