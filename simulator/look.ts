import { openTurn, type SessionRecord, type SessionState, type Usage } from './session.js';

/** What a read sees of a session: its state, how much of the transcript, and spending up to which moment. */
export interface Look {
  readonly state: SessionState;
  readonly messageCount: number;
  readonly usageAt: number;
}

/**
 * What a read at `now` sees.
 *
 * @param lagMs - how old the view is; 0 for the truth
 */
export function look(session: SessionRecord, now: number, lagMs: number): Look {
  const { frozen } = session;
  if (frozen !== null && now < frozen.until) {
    return { state: frozen.state, messageCount: frozen.messageCount, usageAt: frozen.at };
  }
  if (lagMs === 0) return { state: session.state, messageCount: session.messages.length, usageAt: now };
  const then = now - lagMs;
  return { state: stateAt(session, then), messageCount: messageCountAt(session, then), usageAt: then };
}

function stateAt(session: SessionRecord, at: number): SessionState {
  const { transitions } = session;
  for (let i = transitions.length - 1; i >= 0; i--) {
    const transition = transitions[i];
    if (transition !== undefined && transition.at <= at) return transition.state;
  }
  // Not there yet: a reader who got hold of the id sees the first state.
  return transitions[0]?.state ?? session.state;
}

function messageCountAt(session: SessionRecord, at: number): number {
  const after = session.messages.findIndex((message) => message.at > at);
  return after === -1 ? session.messages.length : after;
}

// A model or tool step is what gets billed, so spending grows in steps, not continuously.
const STEP_MS = 1_000;

/** Spending over the life of the session up to `at`; null while nothing has been recorded. */
export function usageAt(session: SessionRecord, at: number): Usage | null {
  let processedMs = 0;
  for (const { from, to } of session.periods) {
    if (from >= at) break;
    const ended = to !== null && to <= at;
    const span = (ended ? to : at) - from;
    processedMs += ended ? span : Math.floor(span / STEP_MS) * STEP_MS;
  }
  const { usageBefore: before, usagePerSecond: rate } = session;
  if (processedMs === 0 && before.credits === 0 && before.inputTokens === 0 && before.outputTokens === 0) return null;
  const seconds = processedMs / 1_000;
  return {
    credits: cents(before.credits + seconds * rate.credits),
    toolCredits: cents(before.toolCredits + seconds * rate.toolCredits),
    inputTokens: Math.round(before.inputTokens + seconds * rate.inputTokens),
    outputTokens: Math.round(before.outputTokens + seconds * rate.outputTokens),
  };
}

const cents = (value: number): number => Math.round(value * 100) / 100;

/** Key of the turn that a cancel would end; null when none is in flight. */
export function keyInFlight(session: SessionRecord): string | null {
  const inFlight = session.state === 'processing' || session.state === 'queued';
  return inFlight ? (openTurn(session)?.key ?? null) : null;
}
