import type { Answer } from './answer.js';
import type { TurnFault } from './fault-schema.js';
import { isInFlight, type SessionRecord } from './session.js';
import { cancelledOnWire } from './wire.js';
import type { World } from './world.js';

/**
 * The cancel operation: aborts the turn in flight, whichever it is by now, and answers with the state afterwards. From any other
 * state it changes nothing, and answers with that state.
 */
export function cancelSession(
  world: World,
  session: SessionRecord,
  requestId: string,
  at: number,
  fault: TurnFault | null,
): Answer {
  if (fault?.fault === 'accepted-without-effect') return answer(session, fault.answer);
  if (fault !== null) changeInBetween(world, session, fault, at);

  const messageCount = session.messages.length;
  const ended = world.turns.cancel(session, requestId, at);
  if (ended !== null) world.truthBook.cancelHadEffect(requestId, ended);
  if (fault?.fault === 'queue-continuation') world.turns.continueQueue(session, at);
  if (fault?.fault === 'lagging-effect' && ended !== null) {
    session.frozen = { state: fault.readsShow, messageCount, at, until: at + fault.visibleAfter };
    return answer(session, fault.answer);
  }
  // A queued message may have started the next turn already; the answer is about the one that was cancelled.
  return answer(session, ended === null ? session.state : 'failed');
}

const answer = (session: SessionRecord, state: string): Answer => ({
  status: 200,
  body: cancelledOnWire(session, state),
});

/** Plays what others did between two requests of one client. */
export function changeInBetween(world: World, session: SessionRecord, fault: TurnFault, at: number): void {
  switch (fault.fault) {
    case 'turn-ends-in-between':
      world.turns.end(session, fault.endsAs, 'natural', at);
      return;
    case 'new-turn-in-between':
      world.turns.end(session, fault.endsAs, 'natural', at);
      // A message that waited may be the new turn already.
      if (isInFlight(session)) return;
      world.turns.start(
        session,
        { text: 'Something new.', runsFor: fault.runsFor, endsAs: 'completed', leavesQueue: 'slot' },
        at,
      );
      return;
    case 'queue-continuation':
      for (let i = session.queue.length; i < fault.messages; i++) {
        session.queue.push({ id: world.newId('qmsg'), text: 'And one more thing.', at });
      }
      return;
    case 'lagging-effect':
    case 'accepted-without-effect':
      return;
  }
}
