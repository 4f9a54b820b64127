import { assess, type Reason, type Verdict } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import {
  absentFromLists,
  fromListItem,
  fromRetrieve,
  type Observation,
  type SessionView,
} from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { NO_LIMITS, type Limits, type Policy } from '../../src/core/policy/policy.js';
import type { MessageHead } from '../../src/core/policy/turn.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** Vendor time of the first event in most tests, ms. */
export const T0 = Date.UTC(2026, 0, 5, 9, 0, 0);
export const SCAN = { scanMs: 15 * SECOND };

/** A policy on all agents that enforces these limits. */
export const policy = (limits: Partial<Limits>, other: Partial<Policy> = {}): Policy => ({
  name: 'rule',
  match: { agents: ['*'] },
  limits: { ...NO_LIMITS, ...limits },
  warnAt: null,
  graceMs: 0,
  mode: 'enforce',
  caps: { maxCancels: 50, maxPercent: 50, perMs: HOUR },
  notify: [],
  onRestart: { action: 'report' },
  ...other,
});

export const session = (state: string | null, other: Partial<SessionView> = {}): SessionView => ({
  agentId: 'agent_a',
  agentName: 'Support',
  creatorId: 'user_1',
  creatorEmail: 'one@example.com',
  teamId: 'team_1',
  state,
  createdAtMs: null,
  transcript: transcriptOf([]),
  usage: null,
  ...other,
});

export const user = (id: string, createdAtMs: number | null): MessageHead => ({ id, role: 'user', createdAtMs });

const usage = (credits: number | null, tokens: number | null) => ({
  creditCost: credits,
  inputTokens: tokens,
  outputTokens: tokens === null ? null : 0,
});

/** Times of observations are ms after {@link T0}. */
export const listed = (
  at: number,
  state: string | null,
  credits: number | null = null,
  tokens = credits,
): Observation => fromListItem(session(state, { usage: usage(credits, tokens) }), T0 + at);

/** A retrieve whose messages are these: id and time of each, ms after {@link T0}. */
export const retrieved = (
  at: number,
  state: string | null,
  messages: readonly (readonly [id: string, at: number | null])[],
  credits: number | null = null,
  tokens = credits,
): Observation =>
  fromRetrieve(
    session(state, {
      transcript: transcriptOf(messages.map(([id, sentAt]) => user(id, sentAt === null ? null : T0 + sentAt))),
      usage: usage(credits, tokens),
    }),
    T0 + at,
  );

export const absent = (at: number): Observation => absentFromLists(T0 + at);

export function factsOf(...observations: readonly Observation[]): Facts {
  const facts = observations.reduce<Facts | null>((before, one) => observe(before, one, SCAN), null);
  if (facts === null) throw new Error('no observation');
  return facts;
}

/** The verdict of one policy, at a time in ms after {@link T0}; at the last sight if none is given. */
export function judged(facts: Facts, rule: Policy, at = facts.timeline.seenAtMs - T0): Verdict {
  const verdict = assess(facts, [rule], T0 + at, SCAN).verdicts[0];
  if (verdict === undefined) throw new Error('no verdict');
  return verdict;
}

export function onlyReason({ reasons }: Verdict): Reason {
  const [reason] = reasons;
  if (reason === undefined || reasons.length > 1) throw new Error(`${reasons.length} reasons`);
  return reason;
}

/** Sightings of one state in lists, every scan, from one time to another (ms after {@link T0}), both included. */
export function everyScan(
  from: number,
  to: number,
  state: string,
  credits: (at: number) => number | null = () => null,
  scanMs = SCAN.scanMs,
): Observation[] {
  const seen: Observation[] = [];
  for (let at = from; at <= to; at += scanMs) seen.push(listed(at, state, credits(at)));
  return seen;
}
