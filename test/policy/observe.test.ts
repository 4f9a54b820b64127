import { describe, expect, it } from '@jest/globals';
import { fromListItem, fromRetrieve, type Observation } from '../../src/core/policy/observation.js';
import type { Facts } from '../../src/core/policy/facts.js';
import { observe, REORDERED_AT_MOST } from '../../src/core/policy/observe.js';
import { absent, everyScan, factsOf, listed, MINUTE, retrieved, SCAN, SECOND, session, T0, user } from './observing.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const timelineOf = (...observations: readonly Observation[]) => factsOf(...observations).timeline;

describe('an observation', () => {
  it('counts input and output tokens, and knows no total when one of them is missing', () => {
    const usage = { creditCost: 1.5, inputTokens: 10, outputTokens: 5 };
    expect(fromListItem(session('processing', { usage }), T0)).toMatchObject({ credits: 1.5, tokens: 15 });
    const half = { ...usage, outputTokens: null };
    expect(fromListItem(session('processing', { usage: half }), T0).tokens).toBeNull();
    expect(fromListItem(session('processing'), T0)).toMatchObject({ credits: null, tokens: null, turn: null });
  });

  it('of a retrieve names the last turn, and says whether it is the first one', () => {
    const one = fromRetrieve(session('processing', { transcript: transcriptOf([user('m1', T0)]) }), T0 + 1);
    expect(one.turn).toEqual({ key: 'm1', startedAtMs: T0, userMessages: 1, isFirst: true });
    const two = fromRetrieve(
      session('processing', { transcript: transcriptOf([user('m1', T0), user('m2', T0 + 1)]) }),
      T0 + 2,
    );
    expect(two.turn).toEqual({ key: 'm2', startedAtMs: T0 + 1, userMessages: 2, isFirst: false });
    const none = fromRetrieve(session('processing'), T0);
    expect(none.turn).toEqual({ key: 'nth:0', startedAtMs: null, userMessages: 0, isFirst: false });
  });

  it('does not take a turn as the first when an answer is older than its message', () => {
    const answer = { id: 'a', role: 'assistant', createdAtMs: T0 };
    const messages = [answer, user('m1', T0 + 1)];
    expect(fromRetrieve(session('processing', { transcript: transcriptOf(messages) }), T0 + 2).turn?.isFirst).toBe(
      false,
    );
    const ownAnswer = [user('m1', T0), { ...answer, createdAtMs: T0 + 1 }];
    expect(fromRetrieve(session('processing', { transcript: transcriptOf(ownAnswer) }), T0 + 2).turn?.isFirst).toBe(
      true,
    );
  });
});

describe('the state', () => {
  it('counts from its first sight', () => {
    const seen = timelineOf(listed(0, 'queued'), ...everyScan(15 * SECOND, 60 * SECOND, 'processing'));
    expect(seen).toMatchObject({
      state: 'processing',
      stateSinceMs: T0 + 15 * SECOND,
      unbrokenSinceMs: T0 + 15 * SECOND,
      otherAtMs: T0,
      changeWatched: true,
      seenAtMs: T0 + 60 * SECOND,
      gapsMs: 0,
    });
  });

  it('is unbroken over two scans, and broken by a longer gap', () => {
    expect(timelineOf(listed(0, 'processing'), listed(30_000, 'processing'))).toMatchObject({
      unbrokenSinceMs: T0,
      gapsMs: 0,
    });
    expect(timelineOf(listed(0, 'processing'), listed(30_001, 'processing'))).toMatchObject({
      stateSinceMs: T0,
      unbrokenSinceMs: T0 + 30_001,
      gapsMs: 30_001,
    });
  });

  it('is not seen to change when a gap lies between', () => {
    expect(timelineOf(listed(0, 'queued'), listed(30_001, 'processing')).changeWatched).toBe(false);
  });

  it('is interrupted by an unknown state as by any other', () => {
    const seen = timelineOf(listed(0, 'processing'), listed(15_000, null), listed(30_000, 'processing'));
    expect(seen).toMatchObject({ stateSinceMs: T0 + 30_000, otherAtMs: T0 + 15_000 });
  });

  it('keeps the time of the last sight at rest', () => {
    const seen = timelineOf(listed(0, 'completed'), listed(15_000, 'failed'), listed(30_000, 'processing'));
    expect(seen.restAtMs).toBe(T0 + 15_000);
  });
});

describe('absence from complete lists', () => {
  it('means nothing for two scans, because pages shift', () => {
    const facts = factsOf(listed(0, 'processing'));
    expect(observe(facts, absent(30_000), SCAN).timeline).toEqual(facts.timeline);
  });

  it('for longer shows that the session was not in flight, so that its wait is not counted', () => {
    const seen = timelineOf(listed(0, 'processing'), absent(10 * MINUTE), listed(10 * MINUTE + 15_000, 'processing'));
    expect(seen).toMatchObject({
      stateSinceMs: T0 + 10 * MINUTE + 15_000,
      otherAtMs: T0 + 10 * MINUTE,
      changeWatched: true,
    });
  });

  it('before the first sight shows that the turn began in between', () => {
    expect(timelineOf(absent(0), listed(15_000, 'processing'))).toMatchObject({
      otherAtMs: T0,
      changeWatched: true,
      turn: { startWatched: true, key: null },
    });
  });
});

describe('the turn', () => {
  it('is named by the first retrieve, back to its first sight', () => {
    const facts = factsOf(
      listed(0, 'completed', 100),
      listed(15_000, 'processing', 103),
      listed(30_000, 'processing', 110),
      retrieved(45_000, 'processing', [['m1', -60_000], ['m2', 5_000]], 120), // prettier-ignore
    );
    expect(facts.timeline.turn).toMatchObject({
      key: 'm2',
      startedAtMs: T0 + 5_000,
      firstSeenMs: T0 + 15_000,
      confirmedAtMs: T0 + 45_000,
      credits: { baseline: 103, fromStart: true, before: 100, last: 120, confirmed: 120 },
    });
  });

  it('that began after the first sight is another one than was seen first', () => {
    const seen = timelineOf(
      listed(15_000, 'processing', 103),
      retrieved(60_000, 'processing', [['m1', 0], ['m2', 50_000]], 120), // prettier-ignore
    );
    expect(seen.turn).toMatchObject({ key: 'm2', firstSeenMs: T0 + 60_000, credits: { baseline: 120 } });
  });

  it('is nobody after rest, and a new one without a name in flight again: nothing of the old one is kept', () => {
    const before = [retrieved(0, 'processing', [['m1', -1]], 100), listed(15_000, 'completed', 110)];
    expect(timelineOf(...before).turn).toBeNull();
    expect(timelineOf(...before, listed(30_000, 'processing', 111)).turn).toMatchObject({
      key: null,
      firstSeenMs: T0 + 30_000,
      credits: { baseline: 111, confirmed: null },
    });
  });

  it('keeps its name through an approval', () => {
    const seen = timelineOf(
      retrieved(0, 'processing', [['m1', -1]], 100),
      retrieved(15_000, 'approval_required', [['m1', -1]], 101),
      listed(30_000, 'processing', 102),
    );
    expect(seen.turn).toMatchObject({ key: 'm1', confirmedAtMs: T0 + 15_000, credits: { baseline: 0, last: 102 } });
    expect(seen.stateSinceMs).toBe(T0 + 30_000);
  });

  it('changes with a steering message, while the unbroken run goes on', () => {
    const seen = timelineOf(
      retrieved(0, 'processing', [['m1', -1]], 100),
      listed(15_000, 'processing', 150),
      retrieved(30_000, 'processing', [['m1', -1], ['m2', 20_000]], 160), // prettier-ignore
    );
    expect(seen).toMatchObject({ stateSinceMs: T0, turn: { key: 'm2', credits: { baseline: 160 } } });
  });

  it('is not the same after a break when no user message tells turns apart', () => {
    const first = retrieved(0, 'processing', []);
    const unbroken = timelineOf(first, retrieved(30_000, 'processing', []));
    expect(unbroken.turn?.firstSeenMs).toBe(T0);
    const broken = timelineOf(first, retrieved(60_000, 'processing', []));
    expect(broken.turn?.firstSeenMs).toBe(T0 + 60_000);
  });

  it('has no start when its message time lies in the future', () => {
    const seen = timelineOf(retrieved(0, 'processing', [['m1', 60_000]]));
    expect(seen.turn).toMatchObject({ startedAtMs: null, firstSeenMs: T0 });
  });

  it('is not replaced by an older one that a lagging read shows, and by one without a start later', () => {
    const now = retrieved(0, 'processing', [['m1', -100_000], ['m2', -10_000]], 50); // prettier-ignore
    const older = (at: number) => retrieved(at, 'processing', [['m1', -100_000]], 40);
    expect(timelineOf(now, older(10_000)).turn?.key).toBe('m2');
    expect(timelineOf(now, older(10_000))).toMatchObject({ seenAtMs: T0, retrievedAtMs: T0 + 10_000 });
    expect(timelineOf(now, older(60_000)).turn).toMatchObject({ key: 'm1', startedAtMs: null });
  });
});

describe('usage', () => {
  it('counts from zero in the only turn of a session', () => {
    const seen = timelineOf(retrieved(0, 'processing', [['m1', -HOUR_AGO]], 300));
    expect(seen.turn?.credits).toMatchObject({ baseline: 0, fromStart: true, last: 300, confirmed: 300 });
  });

  it('does not count from zero when the only message is older than the last rest', () => {
    const seen = timelineOf(listed(0, 'completed', 300), retrieved(15_000, 'processing', [['m1', -60_000]], 301));
    expect(seen.turn?.credits.baseline).toBe(301);
  });

  it('that is null is no news', () => {
    const seen = timelineOf(listed(0, 'processing', 5), listed(15_000, 'processing', null));
    expect(seen).toMatchObject({ credits: 5, turn: { credits: { baseline: 5, last: 5 } } });
  });

  it('first told late gives a baseline that is not from the start', () => {
    const seen = timelineOf(
      listed(0, 'completed', null),
      listed(15_000, 'processing', null),
      listed(90_000, 'processing', 40),
      retrieved(91_000, 'processing', [['m1', -60_000], ['m2', 5_000]], 41), // prettier-ignore
    );
    expect(seen.turn?.credits).toMatchObject({ baseline: 40, fromStart: false });
  });

  it('of an earlier turn is never below what was seen of it, even when a lagging read shows less', () => {
    const seen = timelineOf(listed(0, 'completed', 100), listed(15_000, 'processing', 90));
    expect(seen.turn?.credits).toMatchObject({ baseline: 100, peak: 100, last: 90 });
  });
});

describe('order', () => {
  const story = [
    listed(0, 'queued', 10),
    listed(15_000, 'processing', 11),
    retrieved(20_000, 'processing', [['m1', -5_000]], 12),
    listed(30_000, 'approval_required', 13),
    listed(45_000, 'processing', 14),
  ];

  it('of arrival does not matter', () => {
    const inOrder = factsOf(...story.slice(0, 4));
    for (const [a, b, c, d] of permutations([0, 1, 2, 3])) {
      expect(factsOf(...[a, b, c, d].map((index) => story[index ?? 0] ?? listed(0, null)))).toEqual(inOrder);
    }
  });

  it('of two reads at the same time does not matter', () => {
    const [list, read] = [listed(0, 'processing', 5), retrieved(0, 'processing', [['m1', -1]], 5)];
    expect(factsOf(list, read)).toEqual(factsOf(read, list));
  });

  it('leaves out what comes again', () => {
    const facts = factsOf(...story);
    for (const again of story) expect(observe(facts, again, SCAN)).toBe(facts);
  });

  it.each([
    ['every second', SECOND],
    ['every 2 s', 2 * SECOND],
    ['every 5 s', 5 * SECOND],
    ['every 15 s', 15 * SECOND],
  ])('gives a read that took 30 s its place among the lists of scans %s', (_title, scanMs) => {
    const options = { scanMs };
    const slow = retrieved(0, 'processing', [['m1', -60 * MINUTE]]);
    const meanwhile = everyScan(1, 30 * SECOND, 'processing', () => null, scanMs);
    const before = everyScan(-60 * SECOND, -1, 'processing', () => null, scanMs);
    const fold = (all: readonly Observation[]): Facts | null =>
      all.reduce<Facts | null>((facts, one) => observe(facts, one, options), null);
    const late = fold([...before, ...meanwhile, slow]);
    expect(late?.timeline).toEqual(fold([...before, slow, ...meanwhile])?.timeline);
    expect(late?.timeline.turn).toMatchObject({ key: 'm1', confirmedAtMs: T0 });
    expect(JSON.stringify(late).length).toBeLessThan(8_000);
  });

  it('keeps no more of them than it needs when scans become rarer', () => {
    const often = everyScan(0, 60 * SECOND, 'processing', () => null, SECOND).reduce<Facts | null>(
      (facts, one) => observe(facts, one, { scanMs: SECOND }),
      null,
    );
    expect(often?.recent).toHaveLength(31);
    expect(observe(often, listed(75 * SECOND, 'processing'), SCAN).recent).toHaveLength(REORDERED_AT_MOST);
  });

  it('leaves out what comes later than any observation can be put right', () => {
    const newer = everyScan(15_000, 15_000 * (REORDERED_AT_MOST + 1), 'processing');
    const facts = factsOf(...newer);
    expect(observe(facts, listed(0, 'queued'), SCAN)).toBe(facts);
  });
});

describe('facts', () => {
  it('are plain JSON of bounded size', () => {
    const facts = factsOf(...everyScan(0, 60 * MINUTE, 'processing', (at) => at / 1000));
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
    expect(JSON.stringify(facts).length).toBeLessThan(4_000);
  });

  it('keep what a later read does not tell of the agent and the creator', () => {
    const full = fromRetrieve(session('processing', { createdAtMs: T0 - 1 }), T0);
    const item = fromListItem(session('processing', { teamId: null, agentName: 'Renamed' }), T0 + 1);
    expect(factsOf(full, item)).toMatchObject({
      subject: { teamId: 'team_1', agentName: 'Renamed' },
      createdAtMs: T0 - 1,
    });
    expect(factsOf(item, full).subject).toEqual(factsOf(full, item).subject);
  });
});

const HOUR_AGO = 3_600_000;

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}
