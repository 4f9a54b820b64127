import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assess } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Observation } from '../../src/core/policy/observation.js';
import { observe, REORDERED_AT_MOST } from '../../src/core/policy/observe.js';
import { remember } from '../../src/core/policy/remember.js';
import { lengthOf, listItem, retrieve, truthAt, watch, type Piece, type Said } from './lived-session.js';
import { HOUR, MINUTE, policy, SCAN, SECOND, T0 } from './observing.js';

const RUNS = { numRuns: 60 };
const seconds = (min: number, max: number) => fc.integer({ min: min * SECOND, max: max * SECOND });

/** One turn: perhaps a wait, a run with a steering message here and there, perhaps an approval, then rest of any length. */
const turn: fc.Arbitrary<Piece[]> = fc
  .record({
    queue: fc.option(seconds(1, 300)),
    runs: fc.array(fc.record({ lasts: seconds(1, 600), steered: fc.boolean() }), { minLength: 1, maxLength: 3 }),
    // Shorter than this it can hide between two scans.
    approval: fc.option(seconds(60, 900)),
    after: seconds(1, 600),
    rest: seconds(1, 300),
    rate: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ queue, runs, approval, after, rest, rate }) => {
    const piece = (state: Piece['state'], lastsMs: number, message = false): Piece => ({
      state,
      lastsMs,
      message,
      creditsPerSecond: rate,
    });
    return [
      ...(queue === null ? [] : [piece('queued', queue, true)]),
      ...runs.map(({ lasts, steered }, n) => piece('processing', lasts, n === 0 ? queue === null : steered)),
      ...(approval === null ? [] : [piece('approval_required', approval), piece('processing', after)]),
      piece('completed', rest),
    ];
  });

/** The first sight is before the first turn, as of a session that the scans have known to be away. */
const life = fc
  .array(turn, { minLength: 1, maxLength: 4 })
  .map((turns): Piece[] => [
    { state: 'completed', lastsMs: MINUTE, message: true, creditsPerSecond: 0 },
    ...turns.flat(),
  ]);

const failing = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 40 }).map((scans) => {
  const failed = new Set(scans);
  return (scan: number) => failed.has(scan);
});

const limits = fc.record({
  max_runtime: fc.option(seconds(30, 900)),
  max_continuous_runtime: fc.option(seconds(30, 900)),
  max_queue_time: fc.option(seconds(30, 300)),
  max_credits: fc.option(fc.integer({ min: 1, max: 2_000 })),
  max_session_credits: fc.option(fc.integer({ min: 1, max: 5_000 })),
});
const rule = fc
  .record({ limits, graceMs: fc.constantFrom(0, MINUTE) })
  .map((made) => policy(made.limits, { graceMs: made.graceMs }));

/** Verdicts that rest on something that is not true, by the oracle; at best none. */
function falseVerdicts(pieces: readonly Piece[], said: readonly Said[], canHide = true): unknown[] {
  return said.flatMap(({ at, confirmedAt, verdict }) =>
    verdict.reasons.flatMap((reason): unknown[] => {
      const { limit, level, limitValue, doubt, errorBound } = reason;
      if (level !== 'broken') return [];
      const truth = truthAt(pieces, confirmedAt);
      // Counted from the message, what was not watched may have been a wait; the reason says how much.
      const unwatched = doubt === 'counted-from-message' ? (errorBound ?? 0) : 0;
      const isTurn = truth.turnKey === verdict.turnKey;
      const reached = {
        max_runtime: truth.state === 'processing' && isTurn ? truth.turnInStateMs + unwatched : -1,
        max_queue_time: truth.state === 'queued' && isTurn ? truth.turnInStateMs + unwatched : -1,
        // Rest and the next turn can hide between two scans: this is a clock of what was seen.
        max_continuous_runtime: canHide ? Infinity : truth.inStateMs,
        max_credits: isTurn ? truth.turnCredits + ROUNDING : -1,
        max_tokens: -1,
        max_session_credits: truth.credits + ROUNDING,
      }[limit];
      return reached >= limitValue ? [] : [{ at, reached, truth, verdict }];
    }),
  );
}
const ROUNDING = 1e-6;

describe('whatever a session does, and however slow its reads are', () => {
  const slowReads = fc.array(
    fc.record({
      /** After the one before was sent. */
      afterMs: fc.integer({ min: 1_000, max: 40_000 }),
      tookMs: fc.oneof(fc.nat(1_000), fc.integer({ min: 10_000, max: 30_000 })),
      /** When in that time the vendor looked. */
      shownAt: fc.constantFrom(0, 0.5, 1),
      isList: fc.boolean(),
      /** Messages of the transcript carry times. */
      isTimed: fc.boolean(),
    }),
    { minLength: 2, maxLength: 60 },
  );

  /** So many that one of them is near to any age. */
  const rules = Array.from({ length: 60 }, (_, n) => {
    const limitMs = (n + 1) * 5 * SECOND;
    return policy({ max_runtime: limitMs, max_queue_time: limitMs, max_credits: n + 1 }, { name: `rule-${n}` });
  });

  it('I5: no verdict takes a turn for older than it is', () => {
    fc.assert(
      fc.property(life, slowReads, seconds(0, 900), (pieces, reads, from) => {
        let sentAt = from;
        const seen = reads.map(({ afterMs, tookMs, shownAt, isList, isTimed }) => {
          sentAt += afterMs;
          const read = { sentAt, arrivedAt: sentAt + tookMs };
          const at = sentAt + Math.round(tookMs * shownAt);
          const { state } = truthAt(pieces, at);
          const isLive = state === 'processing' || state === 'queued';
          const shown = isList && isLive ? listItem(pieces, at, read) : retrieve(pieces, at, read);
          const { turn } = shown;
          return {
            ...read,
            at,
            shown: isTimed || turn === null ? shown : { ...shown, turn: { ...turn, startedAtMs: null } },
          };
        });
        const shownAt = new Map(seen.map(({ sentAt: sent, at }) => [T0 + sent, at]));
        let facts: Facts | null = null;
        const said: Said[] = [];
        for (const { arrivedAt, shown } of seen.toSorted((a, b) => a.arrivedAt - b.arrivedAt)) {
          facts = observe(facts, shown, SCAN);
          const assessment = assess(facts, rules, T0 + arrivedAt, SCAN);
          facts = remember(facts, assessment);
          const confirmedAt = shownAt.get(facts.timeline.turn?.confirmedAtMs ?? NaN) ?? NaN;
          for (const verdict of assessment.verdicts) said.push({ at: arrivedAt, confirmedAt, verdict });
        }
        expect(falseVerdicts(pieces, said)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('whatever a session does, and whichever scans fail', () => {
  it('no verdict comes before its limit is reached, and none charges a turn with time or usage of an older one', () => {
    fc.assert(
      fc.property(life, rule, failing, seconds(0, 900), (pieces, made, fails, from) => {
        expect(falseVerdicts(pieces, watch(pieces, [made], 0, fails).said)).toEqual([]);
        expect(falseVerdicts(pieces, watch(pieces, [made], from, fails).said)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('no verdict on unbroken processing comes before its limit, when nothing is too short to be seen', () => {
    fc.assert(
      fc.property(life, seconds(30, 900), (pieces, max_continuous_runtime) => {
        const slow = pieces.map((piece) => ({ ...piece, lastsMs: piece.lastsMs + 46 * SECOND }));
        const { said } = watch(slow, [policy({ max_continuous_runtime })], 0, () => false);
        expect(falseVerdicts(slow, said, false)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('I9: each warning and each cancel names its turn, its limit, the numbers and their error', () => {
    fc.assert(
      fc.property(life, rule, failing, (pieces, made, fails) => {
        const unexplained = watch(pieces, [made], 0, fails).said.filter(({ at, verdict }) => {
          if (verdict.kind !== 'cancel' && verdict.kind !== 'warn') return false;
          const reason = verdict.reasons[0];
          if (reason?.level !== 'broken' || verdict.turnKey === null || reason.brokenAtMs === null) return true;
          const graceMs = verdict.kind === 'cancel' ? made.graceMs : 0;
          const isInTime = reason.brokenAtMs + graceMs <= T0 + at;
          return !isInTime || (reason.observed ?? -1) < reason.limitValue || !/\d.*limit \d/.test(reason.text);
        });
        expect(unexplained).toEqual([]);
      }),
      RUNS,
    );
  });

  it('I8: retrieves are few: some per change of state and per length of a limit, none per scan', () => {
    fc.assert(
      fc.property(life, rule, (pieces, made) => {
        const { max_runtime, max_continuous_runtime, max_queue_time } = made.limits;
        const shortest = Math.min(...[max_runtime, max_continuous_runtime, max_queue_time].map((ms) => ms ?? Infinity));
        const { retrieves } = watch(pieces, [made], 0, () => false);
        expect(retrieves).toBeLessThanOrEqual(12 * pieces.length + (2 * lengthOf(pieces)) / shortest);
      }),
      RUNS,
    );
  });

  it('I8: a session that breaks nothing costs one retrieve per turn, when it leaves the lists', () => {
    const generous = policy({
      max_runtime: 10 * HOUR,
      max_continuous_runtime: 10 * HOUR,
      max_queue_time: 10 * HOUR,
      max_credits: 1e6,
      max_session_credits: 1e6,
    });
    fc.assert(
      fc.property(life, (pieces) => {
        const leaves = pieces.filter(({ state }) => state === 'completed' || state === 'approval_required').length;
        expect(watch(pieces, [generous], 0, () => false).retrieves).toBeLessThanOrEqual(leaves);
      }),
      RUNS,
    );
  });
});

describe('a limit that is broken for long', () => {
  it('is found by the first look after it, when every scan succeeds', () => {
    fc.assert(
      fc.property(seconds(30, 900), seconds(1, 300), seconds(0, 15), (limitMs, rest, offset) => {
        const pieces: Piece[] = [
          { state: 'completed', lastsMs: rest + offset, message: true, creditsPerSecond: 0 },
          { state: 'processing', lastsMs: 2 * limitMs + MINUTE, message: true, creditsPerSecond: 1 },
        ];
        const { said } = watch(pieces, [policy({ max_runtime: limitMs })], 0, () => false);
        const first = said.find(({ verdict }) => verdict.kind === 'cancel');
        const dueAt = rest + offset + limitMs;
        expect(first?.at).toBeGreaterThanOrEqual(dueAt);
        expect(first?.at).toBeLessThanOrEqual(dueAt + SCAN.scanMs);
      }),
      RUNS,
    );
  });
});

describe('the unknown', () => {
  interface Dropped {
    readonly state: boolean;
    readonly usage: boolean;
    readonly times: boolean;
  }
  const dropped: fc.Arbitrary<Dropped> = fc.record({ state: fc.boolean(), usage: fc.boolean(), times: fc.boolean() });
  const without = (observation: Observation, drop: Dropped): Observation => ({
    ...observation,
    state: drop.state ? null : observation.state,
    credits: drop.usage ? null : observation.credits,
    turn:
      observation.turn === null
        ? null
        : { ...observation.turn, startedAtMs: drop.times ? null : observation.turn.startedAtMs },
  });

  it('I5: never makes a violation: taking knowledge away from reads ends nothing that was not to be ended', () => {
    fc.assert(
      fc.property(life, rule, fc.array(dropped, { minLength: 1, maxLength: 30 }), (pieces, made, drops) => {
        const at = (index: number): Dropped =>
          drops[index % drops.length] ?? { state: false, usage: false, times: false };
        const { said } = watch(
          pieces,
          [made],
          0,
          () => false,
          (one, index) => without(one, at(index)),
        );
        expect(falseVerdicts(pieces, said)).toEqual([]);
      }),
      RUNS,
    );
  });

  it.each(['state', 'usage'] as const)(
    'I5: a session whose %s is never told breaks nothing that depends on it',
    (what) => {
      fc.assert(
        fc.property(life, rule, (pieces, made) => {
          const drop: Dropped = { state: what === 'state', usage: what === 'usage', times: false };
          const { said } = watch(
            pieces,
            [made],
            0,
            () => false,
            (one) => without(one, drop),
          );
          const broken = said.flatMap(({ verdict }) => verdict.reasons).filter(({ level }) => level === 'broken');
          expect(what === 'state' ? broken : broken.filter(({ unit }) => unit !== 'ms')).toEqual([]);
        }),
        RUNS,
      );
    },
  );
});

describe('order', () => {
  const reads = fc
    .tuple(life, fc.array(fc.tuple(seconds(0, 1_800), fc.boolean()), { minLength: 1, maxLength: 25 }))
    .map(([pieces, looks]) =>
      looks
        .map(([at, full]) => (full ? retrieve(pieces, at) : listItem(pieces, at)))
        .toSorted((a, b) => a.atMs - b.atMs),
    );
  const fold = (observations: readonly Observation[]): Facts | null =>
    observations.reduce<Facts | null>((facts, one) => observe(facts, one, SCAN), null);
  const all = policy({ max_runtime: MINUTE, max_continuous_runtime: HOUR, max_credits: 50, max_session_credits: 500 });

  it('does not matter: observations that carry the same facts in another order give the same verdict', () => {
    fc.assert(
      fc.property(reads, fc.array(fc.nat({ max: 23 }), { minLength: 1 }), (inOrder, picks) => {
        const [one, other] = [fold(inOrder), fold(disordered(inOrder, picks))];
        if (one === null || other === null) throw new Error('no facts');
        const nowMs = one.timeline.seenAtMs + 1;
        expect(assess(other, [all], nowMs, SCAN)).toEqual(assess(one, [all], nowMs, SCAN));
      }),
      RUNS,
    );
  });

  it('does not matter at all among the first few', () => {
    fc.assert(
      fc.property(
        reads.chain((inOrder) => {
          const few = inOrder.slice(0, REORDERED_AT_MOST);
          return fc.tuple(fc.constant(few), fc.shuffledSubarray(few, { minLength: few.length, maxLength: few.length }));
        }),
        ([inOrder, shuffled]) => {
          expect(fold(shuffled)).toEqual(fold(inOrder));
        },
      ),
      RUNS,
    );
  });
});

/** Each observation at most as late as the facts can put right, and some of them twice. */
function disordered(inOrder: readonly Observation[], picks: readonly number[]): Observation[] {
  const arriving: Observation[] = [];
  for (let from = 0; from < inOrder.length; from += REORDERED_AT_MOST) {
    const waiting = inOrder.slice(from, from + REORDERED_AT_MOST);
    for (let n = from; waiting.length > 0; n += 1) {
      const pick = picks[n % picks.length] ?? 0;
      const [next] = waiting.splice(pick % waiting.length, 1);
      if (next === undefined) break;
      arriving.push(next);
      if (pick % 5 === 0) arriving.push(next);
    }
  }
  return arriving;
}
