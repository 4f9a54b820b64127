import { describe, expect, it } from '@jest/globals';
import { assess } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import { fromListItem } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { remember } from '../../src/core/policy/remember.js';
import {
  absent,
  everyScan,
  factsOf,
  HOUR,
  judged,
  listed,
  MINUTE,
  onlyReason,
  policy,
  retrieved,
  SCAN,
  SECOND,
  session,
  T0,
} from './observing.js';

const RUNTIME = policy({ max_runtime: 45 * MINUTE });
const CREDITS = policy({ max_credits: 500 });

/** Seen at rest, then processing in every scan until `to`. Its message came 5 s after the rest. */
const watchedRun = (to: number, credits?: (at: number) => number | null) =>
  factsOf(listed(0, 'completed', credits?.(0) ?? null), ...everyScan(15 * SECOND, to, 'processing', credits));
const read = (facts: Facts, at: number, state = 'processing', credits: number | null = null) =>
  observe(facts, retrieved(at, state, [['m1', -HOUR], ['m2', 5 * SECOND]], credits), SCAN); // prettier-ignore

describe('max_runtime', () => {
  it('gives the exact time of the next look and wants no retrieve before', () => {
    const facts = watchedRun(MINUTE);
    expect(judged(facts, RUNTIME)).toMatchObject({
      kind: 'keep',
      nextLookAt: T0 + 15 * SECOND + 45 * MINUTE,
      needsRetrieve: false,
    });
  });

  it('wants a retrieve at its deadline, and decides on it', () => {
    const deadline = 15 * SECOND + 45 * MINUTE;
    const facts = watchedRun(deadline - SECOND);
    expect(judged(facts, RUNTIME, deadline - 1)).toMatchObject({ kind: 'keep', needsRetrieve: false });
    expect(judged(facts, RUNTIME, deadline)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
    expect(judged(read(facts, deadline), RUNTIME)).toMatchObject({ kind: 'cancel', would: false, turnKey: 'm2' });
  });

  it('I9: says what was seen, the limit and the error bound', () => {
    const at = 15 * SECOND + 47 * MINUTE + 12 * SECOND;
    const reason = onlyReason(judged(read(watchedRun(at - SECOND), at), RUNTIME));
    expect(reason).toMatchObject({
      limit: 'max_runtime',
      level: 'broken',
      unit: 'ms',
      observed: 47 * MINUTE + 12 * SECOND,
      limitValue: 45 * MINUTE,
      errorBound: 10 * SECOND,
      brokenAtMs: T0 + at,
    });
    expect(reason.text).toBe('has run 47m 12s, limit 45m (+10s)');
  });

  it('comes at the limit exactly, and not a millisecond before', () => {
    const limit = 15 * SECOND + 45 * MINUTE;
    expect(judged(read(watchedRun(limit - SECOND), limit - 1), RUNTIME).kind).toBe('keep');
    expect(judged(read(watchedRun(limit - SECOND), limit), RUNTIME).kind).toBe('cancel');
  });

  it('counts from the message when the turn was in flight at its first sight', () => {
    const facts = factsOf(retrieved(0, 'processing', [['m1', -50 * MINUTE]]));
    const verdict = judged(facts, RUNTIME);
    expect(verdict.kind).toBe('cancel');
    expect(onlyReason(verdict).text).toBe(
      'has run 50m, limit 45m; counted from its message, of which the first 50m were not watched',
    );
  });

  it('wants a retrieve at once at the first sight in flight, unless the session is too young', () => {
    expect(judged(factsOf(listed(0, 'processing')), RUNTIME)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
    const item = fromListItem(session('processing', { createdAtMs: T0 - 40 * MINUTE }), T0);
    expect(judged(observe(null, item, SCAN), RUNTIME)).toMatchObject({
      kind: 'keep',
      needsRetrieve: false,
      nextLookAt: T0 + 5 * MINUTE,
    });
  });

  it('wants no retrieve for a session that was not in the lists a scan ago', () => {
    const facts = factsOf(absent(0), listed(15 * SECOND, 'processing'));
    expect(judged(facts, RUNTIME)).toMatchObject({ kind: 'keep', needsRetrieve: false });
  });

  it('I5: never times a turn from the creation of its session', () => {
    const old = { createdAtMs: T0 - 100 * HOUR };
    const facts = observe(factsOf(absent(0)), fromListItem(session('processing', old), T0 + SECOND), SCAN);
    expect(judged(facts, RUNTIME)).toMatchObject({ kind: 'keep', nextLookAt: T0 + SECOND + 45 * MINUTE });
  });

  it('I5: counts a turn without a message time from its first sight', () => {
    const timeless = (at: number) => retrieved(at, 'processing', [['m1', null]]);
    const first = factsOf(timeless(0));
    expect(judged(first, RUNTIME)).toMatchObject({ kind: 'keep', nextLookAt: T0 + 45 * MINUTE });
    const later = [...everyScan(15_000, 45 * MINUTE - 15_000, 'processing'), timeless(45 * MINUTE)];
    const verdict = judged(
      later.reduce((facts, one) => observe(facts, one, SCAN), first),
      RUNTIME,
    );
    expect(verdict.kind).toBe('cancel');
    expect(onlyReason(verdict).text).toBe('has run 45m, limit 45m (or more)');
  });

  it('does not count time in the queue', () => {
    const facts = factsOf(
      ...everyScan(0, 60 * MINUTE, 'queued'),
      retrieved(60 * MINUTE + 15_000, 'processing', [['m1', -5_000]]),
    );
    expect(judged(facts, RUNTIME)).toMatchObject({ kind: 'keep', nextLookAt: T0 + 105 * MINUTE + 15_000 });
  });

  it('does not count a wait for approval, nor does approval_required break anything', () => {
    const before = factsOf(retrieved(0, 'processing', [['m1', -40 * MINUTE]]));
    const waiting = observe(before, retrieved(15_000, 'approval_required', [['m1', -40 * MINUTE]]), SCAN);
    expect(judged(waiting, RUNTIME, 3 * HOUR)).toMatchObject({ kind: 'keep', note: 'paused', nextLookAt: null });
    const resumed = observe(waiting, retrieved(3 * HOUR, 'processing', [['m1', -40 * MINUTE]]), SCAN);
    expect(judged(resumed, RUNTIME)).toMatchObject({ kind: 'keep', nextLookAt: T0 + 3 * HOUR + 45 * MINUTE });
  });

  it('starts anew with a steering message', () => {
    const facts = factsOf(
      ...everyScan(0, 44 * MINUTE, 'processing'),
      retrieved(44 * MINUTE + 1, 'processing', [['m1', -1], ['m2', 43 * MINUTE]]), // prettier-ignore
    );
    expect(judged(facts, RUNTIME)).toMatchObject({ kind: 'keep', nextLookAt: T0 + 88 * MINUTE + 30 * SECOND });
  });

  it('does not count time that nobody watched in a turn that was watched from its start', () => {
    const seen = watchedRun(10 * MINUTE);
    const back = read(seen, 50 * MINUTE);
    expect(judged(back, RUNTIME)).toMatchObject({ kind: 'keep', turnKey: 'm2' });
    expect(judged(back, RUNTIME).nextLookAt).toBe(T0 + 50 * MINUTE + 35 * MINUTE + 15 * SECOND);
  });

  it('looks for a younger turn as soon as one could break the limit too', () => {
    const at = 15 * SECOND + 45 * MINUTE;
    const facts = read(watchedRun(at - SECOND), at);
    expect(judged(facts, RUNTIME, at + 45 * MINUTE - 1).needsRetrieve).toBe(false);
    expect(judged(facts, RUNTIME, at + 45 * MINUTE)).toMatchObject({ needsRetrieve: true, turnKey: 'm2' });
  });

  it('I5: is not decided by a list, which can not tell which turn it is', () => {
    const facts = factsOf(
      retrieved(0, 'processing', [['m1', -40 * MINUTE]]),
      ...everyScan(15 * SECOND, 6 * MINUTE, 'processing'),
    );
    expect(judged(facts, RUNTIME)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
  });

  it('charges a younger turn with nothing of the older one', () => {
    const at = 15 * SECOND + 45 * MINUTE;
    const old = read(watchedRun(at - SECOND), at);
    expect(judged(old, RUNTIME).kind).toBe('cancel');
    const rested = observe(old, listed(at + 15_000, 'failed'), SCAN);
    expect(judged(rested, RUNTIME)).toMatchObject({ kind: 'keep', note: 'at-rest' });
    const younger = observe(rested, listed(at + 30_000, 'processing'), SCAN);
    expect(judged(younger, RUNTIME)).toMatchObject({ kind: 'keep', turnKey: null, needsRetrieve: false });
  });
});

describe('max_continuous_runtime', () => {
  const rule = policy({ max_continuous_runtime: HOUR });

  it('is not reset by steering messages', () => {
    const facts = factsOf(
      ...everyScan(0, HOUR - 15_000, 'processing'),
      retrieved(HOUR, 'processing', [['m1', -1], ['m2', HOUR - 1]]), // prettier-ignore
    );
    const verdict = judged(facts, rule);
    expect(verdict).toMatchObject({ kind: 'cancel', turnKey: 'm2' });
    expect(onlyReason(verdict).text).toBe('has been processing for 1h without a break, limit 1h (or more)');
  });

  it('has a grace that steering messages do not reset either', () => {
    const slow = { ...rule, graceMs: 2 * MINUTE };
    const broken = factsOf(...everyScan(0, HOUR - 15_000, 'processing'), retrieved(HOUR, 'processing', [['m1', -1]]));
    const marked = remember(broken, assess(broken, [slow], T0 + HOUR, SCAN));
    expect(judged(marked, slow)).toMatchObject({ kind: 'warn', note: 'in-grace' });
    const steered = [
      ...everyScan(HOUR + 15_000, HOUR + 105_000, 'processing'),
      retrieved(HOUR + 2 * MINUTE, 'processing', [['m1', -1], ['m2', HOUR + MINUTE]]), // prettier-ignore
    ].reduce((facts, one) => observe(facts, one, SCAN), marked);
    expect(judged(steered, slow)).toMatchObject({ kind: 'cancel', turnKey: 'm2' });
  });

  it.each([
    ['a gap of over two scans', [listed(40 * MINUTE, 'processing'), listed(40 * MINUTE + 30_001, 'processing')]],
    ['an unknown state', [listed(40 * MINUTE, null), listed(40 * MINUTE + 15_000, 'processing')]],
    ['rest', [listed(40 * MINUTE, 'completed'), listed(40 * MINUTE + 15_000, 'processing')]],
  ])('starts anew after %s', (_title, events) => {
    const facts = factsOf(...everyScan(0, 40 * MINUTE - 15_000, 'processing'), ...events);
    expect(judged(facts, rule).nextLookAt).toBe(facts.timeline.seenAtMs + HOUR);
  });
});

describe('max_queue_time', () => {
  const rule = policy({ max_queue_time: 20 * MINUTE });

  it('counts the wait of a turn that was queued when it was first seen from its message', () => {
    const verdict = judged(factsOf(retrieved(0, 'queued', [['m1', -7 * HOUR]])), rule);
    expect(verdict.kind).toBe('cancel');
    expect(onlyReason(verdict).text).toContain('has waited 7h, limit 20m');
  });

  it('has nothing to say about a turn that runs', () => {
    const facts = factsOf(retrieved(0, 'processing', [['m1', -7 * HOUR]]));
    expect(judged(facts, rule)).toMatchObject({ kind: 'keep', nextLookAt: null, needsRetrieve: false });
  });

  it('does not count the time before an approval sent the turn back to the queue', () => {
    const facts = factsOf(
      retrieved(0, 'approval_required', [['m1', -HOUR]]),
      retrieved(15_000, 'queued', [['m1', -HOUR]]),
    );
    expect(judged(facts, rule)).toMatchObject({ kind: 'keep', nextLookAt: T0 + 15_000 + 20 * MINUTE });
  });
});

describe('max_credits and max_tokens', () => {
  const spending = (at: number) => 4_000 + at / SECOND;

  it('are about the turn: the total of the session does not matter', () => {
    const facts = watchedRun(5 * MINUTE, spending);
    expect(judged(facts, CREDITS)).toMatchObject({ kind: 'keep', needsRetrieve: false });
    expect(judged(facts, CREDITS).nextLookAt).toBe(facts.timeline.seenAtMs + 15 * SECOND);
  });

  it('want a retrieve when the limit is reached in a list, and decide on it', () => {
    const facts = watchedRun(525 * SECOND, spending);
    expect(judged(facts, CREDITS)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
    const verdict = judged(read(facts, 526 * SECOND, 'processing', spending(526 * SECOND)), CREDITS);
    expect(verdict.kind).toBe('cancel');
    expect(onlyReason(verdict)).toMatchObject({ observed: 511, limitValue: 500, errorBound: 15, unit: 'credits' });
    expect(onlyReason(verdict).text).toBe('has spent 511 credits in this turn, limit 500 credits (+15 credits)');
  });

  it('count all of it in the only turn of a session', () => {
    expect(judged(factsOf(retrieved(0, 'processing', [['m1', -HOUR]], 512.5)), CREDITS).kind).toBe('cancel');
    expect(judged(factsOf(retrieved(0, 'processing', [['m1', -HOUR]], 499.9)), CREDITS).kind).toBe('keep');
  });

  it('I5: are undecided without a baseline, and ask for no second retrieve', () => {
    const messages = [['m1', -2 * HOUR], ['m2', -HOUR]] as const; // prettier-ignore
    const verdict = judged(factsOf(retrieved(0, 'processing', messages, 4_000)), CREDITS);
    expect(verdict).toMatchObject({ kind: 'undecided', needsRetrieve: false });
    expect(onlyReason(verdict).doubt).toBe('no-baseline');
    const next = factsOf(retrieved(0, 'processing', messages, 4_000), listed(15_000, 'processing', 4_010));
    expect(judged(next, CREDITS).needsRetrieve).toBe(false);
  });

  it('without a baseline still see what is spent under our eyes', () => {
    const messages = [['m1', -2 * HOUR], ['m2', -HOUR]] as const; // prettier-ignore
    const facts = factsOf(
      retrieved(0, 'processing', messages, 4_000),
      listed(15_000, 'processing', 4_500),
      retrieved(16_000, 'processing', messages, 4_510),
    );
    expect(judged(facts, CREDITS).kind).toBe('cancel');
    expect(onlyReason(judged(facts, CREDITS)).text).toBe(
      'has spent 510 credits in this turn, limit 500 credits; what it used before it was first seen is not known',
    );
  });

  it('are decided again in the next turn', () => {
    const messages = [['m1', -2 * HOUR], ['m2', -HOUR], ['m3', 20_000]] as const; // prettier-ignore
    const facts = factsOf(
      retrieved(0, 'processing', messages.slice(0, 2), 4_000),
      listed(15_000, 'completed', 4_100),
      listed(30_000, 'processing', 4_101),
      retrieved(45_000, 'processing', messages, 4_300),
    );
    expect(judged(facts, CREDITS)).toMatchObject({ kind: 'keep', turnKey: 'm3' });
  });

  it('I5: are undecided after a pause until a retrieve has told whether it is still the same turn', () => {
    const facts = factsOf(
      retrieved(0, 'processing', [['m1', -HOUR]], 600),
      retrieved(15_000, 'approval_required', [['m1', -HOUR]], 600),
    );
    const resumed = observe(facts, listed(30_000, 'processing', 601), SCAN);
    expect(judged(resumed, CREDITS)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
    const same = observe(resumed, retrieved(31_000, 'processing', [['m1', -HOUR]], 601), SCAN);
    expect(judged(same, CREDITS).kind).toBe('cancel');
  });

  it('I8: ask for few retrieves while a broken turn goes on', () => {
    const facts = factsOf(retrieved(0, 'processing', [['m1', -HOUR]], 600));
    expect(judged(observe(facts, listed(15_000, 'processing', 1_199), SCAN), CREDITS).needsRetrieve).toBe(false);
    expect(judged(observe(facts, listed(15_000, 'processing', 1_200), SCAN), CREDITS).needsRetrieve).toBe(true);
  });

  it('I5: say nothing when the vendor has told no usage', () => {
    const verdict = judged(factsOf(retrieved(0, 'processing', [['m1', -HOUR]], null)), CREDITS);
    expect(verdict).toMatchObject({ kind: 'undecided', needsRetrieve: false });
    expect(onlyReason(verdict).text).toBe(
      "what this turn has spent can't be told, limit 500 credits: the vendor has told no usage",
    );
  });

  it('I5: say nothing while totals go down', () => {
    const broken = factsOf(retrieved(0, 'processing', [['m1', -HOUR]], 600));
    expect(judged(broken, CREDITS).kind).toBe('cancel');
    const shrunk = observe(broken, retrieved(15_000, 'processing', [['m1', -HOUR]], 550), SCAN);
    expect(judged(shrunk, CREDITS).kind).toBe('undecided');
    expect(onlyReason(judged(shrunk, CREDITS)).doubt).toBe('usage-shrank');
  });

  it('count input and output tokens together', () => {
    const rule = policy({ max_tokens: 1_000 });
    const verdict = judged(factsOf(retrieved(0, 'processing', [['m1', -HOUR]], 1, 1_200)), rule);
    expect(onlyReason(verdict).text).toBe('has used 1200 tokens in this turn, limit 1000 tokens');
  });
});

describe('max_session_credits', () => {
  const rule = policy({ max_session_credits: 5_000 });

  it('counts the life of the session, in a turn of any age', () => {
    const list = factsOf(absent(0), listed(15_000, 'processing', 5_001));
    expect(judged(list, rule)).toMatchObject({ kind: 'undecided', needsRetrieve: true });
    const facts = observe(list, retrieved(16_000, 'processing', [['m1', -HOUR], ['m2', 1_000]], 5_002), SCAN); // prettier-ignore
    expect(judged(facts, rule).kind).toBe('cancel');
    expect(onlyReason(judged(facts, rule)).text).toBe('the session has spent 5002 credits in all, limit 5000 credits');
  });

  it('breaks nothing at rest', () => {
    expect(judged(factsOf(retrieved(0, 'completed', [['m1', -HOUR]], 9_000)), rule).kind).toBe('keep');
  });
});

describe('warnings', () => {
  const rule = policy({ max_runtime: 45 * MINUTE }, { warnAt: 0.8 });
  const warnAt = 15 * SECOND + 36 * MINUTE;

  it('have their exact time, then the limit has', () => {
    expect(judged(watchedRun(MINUTE), rule).nextLookAt).toBe(T0 + warnAt);
    const near = read(watchedRun(warnAt - SECOND), warnAt);
    expect(judged(near, rule)).toMatchObject({ kind: 'warn', isNew: true, nextLookAt: T0 + 15 * SECOND + 45 * MINUTE });
  });

  it('are new once in a turn', () => {
    const near = read(watchedRun(warnAt - SECOND), warnAt);
    const told = remember(near, assess(near, [rule], T0 + warnAt, SCAN));
    expect(judged(told, rule)).toMatchObject({ kind: 'warn', isNew: false });
    expect(remember(told, assess(told, [rule], T0 + warnAt, SCAN))).toBe(told);

    const nextTurn = [
      listed(warnAt + 15_000, 'completed'),
      ...everyScan(warnAt + 30_000, 2 * warnAt, 'processing'),
      retrieved(2 * warnAt + 30_000, 'processing', [['m2', 5_000], ['m3', warnAt + 20_000]]), // prettier-ignore
    ].reduce((facts, one) => observe(facts, one, SCAN), told);
    expect(judged(nextTurn, rule)).toMatchObject({ kind: 'warn', isNew: true });
  });
});

describe('grace', () => {
  const rule = policy({ max_runtime: 45 * MINUTE }, { graceMs: 2 * MINUTE });
  const limitAt = 15 * SECOND + 45 * MINUTE;
  const atLimit = read(watchedRun(limitAt - SECOND), limitAt);
  const marked = remember(atLimit, assess(atLimit, [rule], T0 + limitAt, SCAN));

  it('counts from the first sight of the violation', () => {
    expect(judged(atLimit, rule)).toMatchObject({
      kind: 'warn',
      note: 'in-grace',
      nextLookAt: T0 + limitAt + 2 * MINUTE,
    });
    expect(judged(read(marked, limitAt + MINUTE), rule).kind).toBe('warn');
    expect(judged(read(marked, limitAt + 2 * MINUTE - 1), rule).kind).toBe('warn');
    expect(judged(read(marked, limitAt + 2 * MINUTE), rule).kind).toBe('cancel');
  });

  it('ends nothing that was not seen again after it', () => {
    expect(judged(marked, rule, limitAt + 2 * MINUTE)).toMatchObject({ kind: 'warn', needsRetrieve: true });
  });

  it('starts anew in the next turn', () => {
    const next = [
      listed(limitAt + 15_000, 'failed'),
      ...everyScan(limitAt + 30_000, 2 * limitAt + 15_000, 'processing'),
      retrieved(2 * limitAt + 30_000, 'processing', [['m2', 5_000], ['m3', limitAt + 20_000]]), // prettier-ignore
    ].reduce((facts, one) => observe(facts, one, SCAN), marked);
    expect(judged(next, rule)).toMatchObject({ kind: 'warn', note: 'in-grace', turnKey: 'm3' });
  });

  it('starts anew when the limit was changed', () => {
    const raised = { ...rule, limits: { ...rule.limits, max_runtime: 46 * MINUTE } };
    const later = everyScan(limitAt + 15_000, limitAt + 3 * MINUTE - 15_000, 'processing').reduce(
      (facts, one) => observe(facts, one, SCAN),
      marked,
    );
    expect(judged(read(later, limitAt + 3 * MINUTE), rule)).toMatchObject({ kind: 'cancel' });
    expect(judged(read(later, limitAt + 3 * MINUTE), raised)).toMatchObject({ kind: 'warn', note: 'in-grace' });
  });
});

describe('a policy', () => {
  const broken = factsOf(retrieved(0, 'processing', [['m1', -50 * MINUTE]]));

  it('in mode observe says the same, as what it would do, and once', () => {
    const rule: typeof RUNTIME = { ...RUNTIME, mode: 'observe' };
    expect(judged(broken, rule)).toMatchObject({ kind: 'cancel', would: true, isNew: true });
    const told = remember(broken, assess(broken, [rule], T0, SCAN));
    expect(judged(told, rule)).toMatchObject({ kind: 'cancel', would: true, isNew: false });
  });

  it('that is off is not looked at', () => {
    expect(judged(broken, { ...RUNTIME, mode: 'off' })).toMatchObject({ kind: 'not-matching', reasons: [] });
  });

  it('about other sessions says nothing and asks for nothing', () => {
    const rule = { ...RUNTIME, match: { agents: ['agent_b'] } };
    expect(judged(factsOf(listed(0, 'processing')), rule)).toMatchObject({
      kind: 'not-matching',
      needsRetrieve: false,
      nextLookAt: null,
    });
  });

  it('I5: ends nothing when it can not be told whether it is about the session', () => {
    const rule = { ...RUNTIME, match: { not: { creators: ['one@example.com'] } } };
    const item = fromListItem(session('processing', { creatorId: null, creatorEmail: null }), T0);
    const unknown = observe(null, item, SCAN);
    expect(judged(unknown, rule)).toMatchObject({ kind: 'undecided', note: 'match-unknown', needsRetrieve: true });
    const still: Facts = { ...broken, subject: unknown.subject };
    expect(judged(still, rule)).toMatchObject({ kind: 'undecided', note: 'match-unknown', needsRetrieve: false });
  });

  it('keeps an exempt session, and still says what is broken', () => {
    const verdict = assess(broken, [RUNTIME], T0, { ...SCAN, exempt: true }).verdicts[0];
    expect(verdict).toMatchObject({ kind: 'keep', note: 'exempt', needsRetrieve: false, nextLookAt: null });
    expect(verdict?.reasons).toHaveLength(1);
  });

  it.each([
    ['completed', 'keep', 'at-rest'],
    ['failed', 'keep', 'at-rest'],
    ['idle', 'keep', 'paused'],
    ['approval_required', 'keep', 'paused'],
    ['dreaming', 'undecided', 'state-unknown'],
    [null, 'undecided', 'state-unknown'],
  ])('I5: ends nothing in state %s', (state, kind, note) => {
    const facts = factsOf(retrieved(0, state, [['m1', -50 * HOUR]], 9_999));
    const rule = policy({ max_runtime: 1, max_queue_time: 1, max_credits: 1, max_session_credits: 1, max_tokens: 1 });
    expect(judged(facts, rule, 50 * HOUR)).toMatchObject({ kind, note, nextLookAt: null, needsRetrieve: false });
  });
});

describe('several policies', () => {
  it('have one next look, the earliest', () => {
    const facts = watchedRun(MINUTE);
    const all = assess(
      facts,
      [RUNTIME, policy({ max_runtime: 20 * MINUTE }, { name: 'short' }), { ...RUNTIME, mode: 'off' }],
      facts.timeline.seenAtMs,
      SCAN,
    );
    expect(all.nextLookAt).toBe(T0 + 15 * SECOND + 20 * MINUTE);
    expect(all.verdicts.map(({ kind }) => kind)).toEqual(['keep', 'keep', 'not-matching']);
  });

  it('are assessed for 10,000 sessions in one go', () => {
    const rules = [1, 2, 3, 4, 5].map((n) =>
      policy(
        {
          max_runtime: n * 10 * MINUTE,
          max_continuous_runtime: n * HOUR,
          max_credits: n * 100,
          max_session_credits: n * 1_000,
          max_tokens: n * 1_000_000,
        },
        { name: `rule-${n}`, warnAt: 0.8 },
      ),
    );
    let due = 0;
    const before = factsOf(absent(0), listed(15_000, 'processing', 3), retrieved(30_000, 'processing', [['m1', 1]], 4));
    for (let n = 0; n < 10_000; n += 1) {
      const facts = observe(before, listed(45_000 + n, 'processing', 5 + n / 100), SCAN);
      const assessment = assess(facts, rules, facts.timeline.seenAtMs, SCAN);
      if (assessment.needsRetrieve) due += 1;
      remember(facts, assessment);
    }
    expect(due).toBeGreaterThan(0);
  }, 60_000);
});
