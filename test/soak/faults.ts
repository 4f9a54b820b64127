import type { FaultInput, FaultName, World } from '../../simulator/index.js';

/** Ways in which any request can fail. */
const ANY: readonly FaultInput[] = [
  { fault: 'server-error' },
  { fault: 'server-error', effect: true, body: 'empty' },
  { fault: 'rate-limited' },
  { fault: 'reset-before-effect' },
  { fault: 'reset-after-effect' },
  { fault: 'html-body' },
  { fault: 'truncated-body' },
  { fault: 'truncated-body', cut: 'json' },
  { fault: 'lagging-answer', delay: '3s', effectAfter: '1s' },
  { fault: 'redirect' },
  { fault: 'unauthorized' },
  { fault: 'forbidden-account' },
  { fault: 'forbidden-session' },
  { fault: 'not-found' },
  { fault: 'conflict' },
  { fault: 'oversize-body' },
  { fault: 'null-state' },
  { fault: 'missing-state' },
  { fault: 'unknown-state' },
  { fault: 'zoneless-times' },
  { fault: 'offset-times' },
  { fault: 'missing-usage' },
  { fault: 'null-usage' },
  { fault: 'null-message-times' },
  { fault: 'wrong-session-id' },
  { fault: 'hang', on: 'list' },
  { fault: 'hang', on: 'retrieve' },
];

/** Ways of cancel requests alone, and of the turns that they meet. */
const AT_CANCEL: readonly FaultInput[] = [
  { fault: 'failed-to-abort' },
  { fault: 'failed-to-abort', effect: true, effectAfter: '2s' },
  { fault: 'lagging-effect' },
  { fault: 'lagging-effect', readsShow: 'processing' },
  { fault: 'accepted-without-effect' },
  { fault: 'accepted-without-effect', answer: 'completed' },
  { fault: 'queue-continuation' },
  { fault: 'new-turn-in-between' },
  { fault: 'turn-ends-in-between' },
];
const AT_RETRIEVE: readonly FaultInput[] = [
  { fault: 'new-turn-in-between', on: 'retrieve' },
  { fault: 'turn-ends-in-between', on: 'retrieve' },
];
/** A client waits 100 s for the answer to a cancel request, so this one needs a long run. */
const HANGING_CANCEL: FaultInput = { fault: 'hang', on: 'cancel' };

export interface Struck {
  readonly operation: string;
  readonly fault: FaultName;
  readonly sessionId: string | null;
}

/**
 * Lets this share of all requests fail, in every way the simulator has, until its faults are cleared.
 *
 * @param share - of requests, 0 to 1; cancel requests meet their own ways besides
 * @returns what struck, as it goes on
 */
export function letFail(world: World, share: number, hangingCancels: boolean): readonly Struck[] {
  const cancel = hangingCancels ? [...AT_CANCEL, HANGING_CANCEL] : AT_CANCEL;
  const each = (faults: readonly FaultInput[], of: number): FaultInput[] =>
    faults.map((fault) => ({ ...fault, times: 'forever', probability: of / faults.length }) as FaultInput);
  world.addFaults('everywhere', [...each(cancel, share), ...each(AT_RETRIEVE, share / 5), ...each(ANY, share)]);

  const struck: Struck[] = [];
  const strike = world.faults.strike.bind(world.faults);
  world.faults.strike = (operation, target) => {
    const result = strike(operation, target);
    const faults = [...(result.deed === null ? [] : [result.deed]), ...result.form];
    for (const { fault } of faults) struck.push({ operation, fault, sessionId: target.sessionId ?? null });
    return result;
  };
  return struck;
}
