import type { NewId } from './random.js';
import { moveTo, type SessionRecord } from './session.js';
import type { SlotPool } from './slots.js';
import type { TurnPlan, Turns } from './turns.js';
import type { SessionPlan } from './world-schema.js';

/** A minute per earlier turn: half of it run, half of it rest. */
const EARLIER_TURN_MS = 60_000;

/** An empty session as the plan describes it, without turns. */
export function sessionFrom(plan: SessionPlan, id: string, userId: string, now: number): SessionRecord {
  const age = Math.max(plan.age ?? 0, plan.turnAge + plan.earlierTurns * EARLIER_TURN_MS);
  const createdAt = now - age;
  return {
    id,
    agentId: plan.agent,
    name: plan.name,
    type: plan.type,
    creatorUserId: plan.creatorUserId ?? userId,
    triggerId: plan.triggerId,
    createdAt,
    state: 'idle',
    transitions: [{ at: createdAt, state: 'idle' }],
    periods: [],
    messages: [],
    turns: [],
    queue: [],
    asks: [],
    usageBefore: plan.usageBefore,
    usagePerSecond: plan.usagePerSecond,
    afterCancel: plan.afterCancel,
    nextTurns: { runsFor: plan.runsFor, endsAs: plan.endsAs },
    frozen: null,
  };
}

/** Gives a new session the past that its plan tells, up to its present state. */
export function livePast(
  session: SessionRecord,
  plan: SessionPlan,
  world: { readonly turns: Turns; readonly slots: SlotPool; readonly newId: NewId; readonly now: number },
): void {
  const { turns, now } = world;
  const startedAt = now - plan.turnAge;
  for (let i = plan.earlierTurns; i > 0; i--) addEarlierTurn(session, startedAt - i * EARLIER_TURN_MS, world.newId);
  if (plan.state === 'idle') {
    if (session.state !== 'idle') moveTo(session, 'idle', now);
    return;
  }
  const text = 'Please do the work.';
  const next: TurnPlan = { text, runsFor: plan.runsFor, endsAs: plan.endsAs, leavesQueue: plan.leavesQueue };
  if (plan.state === 'queued') {
    queueTurn(session, next, startedAt, now, world);
    return;
  }
  const turn = turns.announce(session, next, startedAt);
  if (plan.queuedFor > 0) moveTo(session, 'queued', startedAt);
  const processedFor = plan.turnAge - plan.queuedFor;
  // The plan counts from now, a turn from its start.
  turn.remaining = plan.runsFor === null ? null : plan.runsFor + processedFor;
  turns.process(session, turn, startedAt + plan.queuedFor);
  if (plan.state === 'completed' || plan.state === 'failed') {
    turns.end(session, plan.state, 'natural', now - plan.endedAgo);
  } else if (plan.state === 'approval_required') {
    turns.pause(session, 'May I go on?', now);
  }
}

function queueTurn(
  session: SessionRecord,
  plan: TurnPlan,
  announcedAt: number,
  now: number,
  { turns, slots }: { readonly turns: Turns; readonly slots: SlotPool },
): void {
  const turn = turns.announce(session, plan, announcedAt);
  moveTo(session, 'queued', announcedAt);
  slots.hold(session);
  // Its place among the waiters counts from now: slots that freed up before are gone.
  if (plan.leavesQueue === 'slot') turns.release(session, now);
  else if (plan.leavesQueue !== 'never') turns.releaseLater(session, turn, now + plan.leavesQueue);
}

function addEarlierTurn(session: SessionRecord, at: number, newId: NewId): void {
  const endedAt = at + EARLIER_TURN_MS / 2;
  const key = newId('msg');
  session.messages.push({ id: key, role: 'user', text: 'An earlier request.', at });
  session.messages.push({ id: newId('msg'), role: 'assistant', text: 'Done.', at: endedAt });
  moveTo(session, 'processing', at);
  moveTo(session, 'completed', endedAt);
  session.turns.push({
    key,
    earlierKeys: [],
    createdAt: at,
    startedAt: at,
    endedAt,
    endedAs: 'completed',
    endedBy: 'natural',
    remaining: 0,
    endsAs: 'completed',
    run: 1,
  });
}
