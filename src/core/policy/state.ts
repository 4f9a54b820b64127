/**
 * What a session state says about the turn. Source: vendor page "Session states", generations A to C.
 *
 * - `in-flight`: a turn runs or waits for a slot (`processing`, `queued`). Only these can be ended by a cancel.
 * - `at-rest`: the last turn is over (`completed`, `failed`). Not final: a new message starts the next turn.
 * - `unclear`: `idle`, `approval_required`, null and every state we do not know. Never a reason to send anything.
 */
export type Flight = 'in-flight' | 'at-rest' | 'unclear';

export function flightOf(state: string | null): Flight {
  switch (state) {
    case 'processing':
    case 'queued':
      return 'in-flight';
    case 'completed':
    case 'failed':
      return 'at-rest';
    default:
      return 'unclear';
  }
}
