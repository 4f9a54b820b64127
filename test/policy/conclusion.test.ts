import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { OUTCOMES, type Attribution, type Outcome } from '../../src/core/contract.js';
import {
  conclude,
  LONGEST_REQUEST_MS,
  newerTurnPerhapsHit,
  type Conclusion,
  type SentRequest,
} from '../../src/core/policy/conclusion.js';
import { viewOf, type OrderedTurn, type Sighting } from '../../src/core/policy/sighting.js';
import { ORDERED, saw, sawNewer, sawNothing, sawOlder, STARTED_AT, turn } from './sightings.js';

const accepted = (state: string | null): SentRequest => ({ answer: 'accepted', state });
const UNKNOWN: SentRequest = { answer: 'unknown', state: null };
const REFUSED: SentRequest = { answer: 'refused', state: null };

const times = (count: number, sighting: Sighting): Sighting[] => Array.from({ length: count }, () => sighting);
const ended = (
  name: Outcome,
  over: boolean,
  attribution: Attribution | null = null,
  restarted = false,
): Conclusion => ({
  kind: 'outcome',
  outcome: name,
  attribution,
  restarted,
  over,
});
const SEND: Conclusion = { kind: 'send' };
const LOOK_AGAIN: Conclusion = { kind: 'look-again' };

interface Row {
  readonly when: string;
  readonly sent?: readonly SentRequest[];
  readonly seen: readonly Sighting[];
  /** The confirm window is open. Default: closed, so that nothing else holds an outcome back. */
  readonly confirming?: boolean;
  readonly then: Conclusion;
}

const verdict = ({ sent = [], seen, confirming = false }: Row): Conclusion => conclude(ORDERED, sent, seen, confirming);

describe('conclude, nothing sent yet', () => {
  it.each<Row>([
    { when: 'the turn is processing', seen: [saw('processing')], then: SEND },
    { when: 'the turn is queued', seen: [saw('queued')], then: SEND },
    { when: 'the turn is completed', seen: times(2, saw('completed')), then: ended('already-ended', true) },
    { when: 'the turn is failed', seen: times(2, saw('failed')), then: ended('already-ended', true) },
    { when: 'another turn is processing', seen: times(2, sawNewer('processing')), then: ended('superseded', true) },
    { when: 'another turn is queued', seen: times(2, sawNewer('queued')), then: ended('superseded', true) },
    { when: 'another turn has completed', seen: times(2, sawNewer('completed')), then: ended('already-ended', true) },
    { when: 'another turn has failed', seen: times(2, sawNewer('failed')), then: ended('already-ended', true) },
    { when: 'another turn is unclear', seen: times(2, sawNewer('idle')), then: ended('already-ended', true) },
    { when: 'the state is idle', seen: times(2, saw('idle')), then: ended('not-in-flight', false) },
    {
      when: 'the state is approval_required',
      seen: times(2, saw('approval_required')),
      then: ended('not-in-flight', false),
    },
    { when: 'the state is null', seen: times(2, saw(null)), then: ended('not-in-flight', false) },
    { when: 'the state is unknown to us', seen: times(2, saw('dreaming')), then: ended('not-in-flight', false) },
    { when: 'the session is missing', seen: times(2, sawNothing()), then: ended('gone', false) },
    { when: 'only reads of an older turn came', seen: times(5, sawOlder('completed')), then: LOOK_AGAIN },
    { when: 'an older turn looks in flight', seen: times(5, sawOlder('processing')), then: LOOK_AGAIN },
    { when: 'nothing was seen', seen: [], then: LOOK_AGAIN },
  ])('$when', (row) => {
    expect(verdict(row)).toEqual(row.then);
  });
});

describe('conclude, a request was accepted', () => {
  it.each<Row>([
    {
      when: '200 failed, then at rest as failed: cancelled, strong',
      sent: [accepted('failed')],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'strong'),
    },
    {
      when: '200 failed, then at rest as completed: cancelled, strong',
      sent: [accepted('failed')],
      seen: times(3, saw('completed')),
      then: ended('cancelled', true, 'strong'),
    },
    {
      when: '200 failed, then another turn in flight: cancelled, strong, and a restart',
      sent: [accepted('failed')],
      seen: times(2, sawNewer('processing')),
      then: ended('cancelled', true, 'strong', true),
    },
    {
      when: '200 failed, then another turn that is over already: cancelled, strong, and a restart',
      sent: [accepted('failed')],
      seen: times(2, sawNewer('completed')),
      then: ended('cancelled', true, 'strong', true),
    },
    {
      when: '200 completed, and it stays completed: already-ended',
      sent: [accepted('completed')],
      seen: times(3, saw('completed')),
      then: ended('already-ended', true),
    },
    {
      when: '200 completed, and it turns failed: cancelled, strong',
      sent: [accepted('completed')],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'strong'),
    },
    {
      when: '200 with another state, then failed: cancelled, but only probably by us',
      sent: [accepted('processing')],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'probable'),
    },
    {
      when: '200 without a state, then failed: cancelled, but only probably by us',
      sent: [accepted(null)],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'probable'),
    },
    {
      when: '200 without a state, still in flight in the window: keep confirming',
      sent: [accepted(null)],
      seen: [saw('processing')],
      confirming: true,
      then: LOOK_AGAIN,
    },
    {
      when: '200 failed, still in flight in the window: keep confirming',
      sent: [accepted('failed')],
      seen: times(3, saw('processing')),
      confirming: true,
      then: LOOK_AGAIN,
    },
    {
      when: '200 failed, still in flight past the window: next attempt',
      sent: [accepted('failed')],
      seen: times(5, saw('processing')),
      then: SEND,
    },
    {
      when: '200 failed, idle when the window is over: cancelled, probable',
      sent: [accepted('failed')],
      seen: times(2, saw('idle')),
      then: ended('cancelled', true, 'probable'),
    },
    {
      when: '200 failed, idle while the window is open: keep confirming',
      sent: [accepted('failed')],
      seen: times(4, saw('idle')),
      confirming: true,
      then: LOOK_AGAIN,
    },
    {
      when: '200 completed, idle when the window is over: nothing can be said',
      sent: [accepted('completed')],
      seen: times(2, saw('idle')),
      then: ended('not-in-flight', false),
    },
    {
      when: '200 failed, an unknown state when the window is over: nothing can be said',
      sent: [accepted('failed')],
      seen: times(2, saw('dreaming')),
      then: ended('not-in-flight', false),
    },
    {
      when: '200 failed, then missing: gone',
      sent: [accepted('failed')],
      seen: times(2, sawNothing()),
      then: ended('gone', false),
    },
    {
      when: '200 failed, then reads of an older turn: no news',
      sent: [accepted('failed')],
      seen: times(4, sawOlder('failed')),
      then: LOOK_AGAIN,
    },
  ])('$when', (row) => {
    expect(verdict(row)).toEqual(row.then);
  });
});

describe('conclude, the effect of a request is unknown', () => {
  it.each<Row>([
    { when: 'the same turn in flight: next attempt', sent: [UNKNOWN], seen: [saw('processing')], then: SEND },
    {
      when: 'the same turn in flight, window open: next attempt, for nothing was accepted',
      sent: [UNKNOWN],
      seen: [saw('processing')],
      confirming: true,
      then: SEND,
    },
    {
      when: 'the last of two is unknown: next attempt at once',
      sent: [accepted('failed'), UNKNOWN],
      seen: [saw('processing')],
      confirming: true,
      then: SEND,
    },
    {
      when: 'failed: cancelled, probable',
      sent: [UNKNOWN],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'probable'),
    },
    {
      when: 'stays completed: already-ended, because an abort leaves failed',
      sent: [UNKNOWN],
      seen: times(3, saw('completed')),
      then: ended('already-ended', true),
    },
    {
      when: 'another turn in flight: ended-unattributed',
      sent: [UNKNOWN],
      seen: times(2, sawNewer('processing')),
      then: ended('ended-unattributed', true, null, true),
    },
    {
      when: 'an accepted one after it settles the attribution',
      sent: [UNKNOWN, accepted('failed')],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'strong'),
    },
    {
      when: 'an accepted one before it settles the attribution, too',
      sent: [accepted('failed'), UNKNOWN],
      seen: times(2, saw('failed')),
      then: ended('cancelled', true, 'strong'),
    },
  ])('$when', (row) => {
    expect(verdict(row)).toEqual(row.then);
  });
});

describe('conclude, only refused requests', () => {
  it.each<Row>([
    { when: 'at rest as failed: already-ended', seen: times(2, saw('failed')), then: ended('already-ended', true) },
    { when: 'completed needs no third read', seen: times(2, saw('completed')), then: ended('already-ended', true) },
    { when: 'in flight in the window: next attempt', seen: [saw('queued')], confirming: true, then: SEND },
    { when: 'another turn in flight: superseded', seen: times(2, sawNewer('queued')), then: ended('superseded', true) },
    {
      when: 'unclear: not-in-flight',
      seen: times(2, saw(null)),
      confirming: true,
      then: ended('not-in-flight', false),
    },
  ])('$when', (row) => {
    expect(verdict({ ...row, sent: [REFUSED, REFUSED] })).toEqual(row.then);
  });

  it('count as nothing between an accepted one and the next attempt', () => {
    expect(conclude(ORDERED, [accepted('failed'), REFUSED], [saw('processing')], true)).toEqual(LOOK_AGAIN);
  });
});

describe('conclude, how many reads it takes', () => {
  it.each([
    ['completed', []],
    ['failed', []],
    ['failed', [accepted('failed')]],
    ['completed', [accepted('completed')]],
    ['idle', []],
  ] as [string, SentRequest[]][])('I4: one read of %s concludes nothing', (state, sent) => {
    expect(conclude(ORDERED, sent, [saw(state)], false)).toEqual(LOOK_AGAIN);
  });

  it('I4: two reads of completed after a request conclude nothing: the vendor can lag', () => {
    expect(conclude(ORDERED, [accepted('completed')], times(2, saw('completed')), false)).toEqual(LOOK_AGAIN);
    expect(conclude(ORDERED, [UNKNOWN], times(2, saw('completed')), false)).toEqual(LOOK_AGAIN);
  });

  it('needs reads that agree in a row', () => {
    const seen = [saw('failed'), saw('completed'), saw('failed')];
    expect(conclude(ORDERED, [], seen, false)).toEqual(LOOK_AGAIN);
    expect(conclude(ORDERED, [], [...seen, saw('failed')], false)).toEqual(ended('already-ended', true));
  });

  it('is not misled by a stale read between two that agree', () => {
    expect(conclude(ORDERED, [], [saw('failed'), sawOlder('failed'), saw('failed')], false)).toEqual(LOOK_AGAIN);
  });
});

describe('conclude, whatever comes', () => {
  const anyState = fc.constantFrom(
    'processing',
    'queued',
    'completed',
    'failed',
    'idle',
    'approval_required',
    'x',
    null,
  );
  const anySent = fc.array(
    fc.record({
      answer: fc.constantFrom('accepted' as const, 'unknown' as const, 'refused' as const),
      state: anyState,
    }),
    { maxLength: 4 },
  );
  const anySighting = fc.oneof(
    { weight: 4, arbitrary: anyState.map((state) => saw(state)) },
    { weight: 2, arbitrary: anyState.map((state) => sawNewer(state)) },
    { weight: 1, arbitrary: anyState.map((state) => saw(state, { turnKey: 'timeless', turnStartedAtMs: null })) },
    { weight: 1, arbitrary: anyState.map((state) => sawOlder(state)) },
    { weight: 1, arbitrary: fc.constant(sawNothing()) },
  );
  // Runs of equal reads are what conclusions come from, so there have to be enough of them.
  const anySightings = fc
    .array(fc.tuple(anySighting, fc.integer({ min: 1, max: 3 })), { maxLength: 4 })
    .map((runs) => runs.flatMap(([sighting, count]) => times(count, sighting)));
  const anyTurn = fc.constantFrom(ORDERED, { ...ORDERED, startedAtMs: null }, { key: null, startedAtMs: null });
  const check = (
    property: (
      conclusion: Conclusion,
      sent: readonly SentRequest[],
      seen: readonly Sighting[],
      ordered: OrderedTurn,
    ) => void,
  ): void =>
    fc.assert(
      fc.property(anyTurn, anySent, anySightings, fc.boolean(), (ordered, sent, seen, confirming) =>
        property(conclude(ordered, sent, seen, confirming), sent, seen, ordered),
      ),
      { numRuns: 2_000 },
    );

  it('I1: never says send unless the last sighting shows the ordered turn in flight', () => {
    check((conclusion, _sent, seen, { key }) => {
      if (conclusion.kind !== 'send') return;
      const last = seen.at(-1);
      expect(last).toMatchObject({ missing: false, turnKey: key });
      expect(['processing', 'queued']).toContain(last?.state);
    });
  });

  it('I4: never says cancelled, nor ended-unattributed, when nothing was sent that could have had effect', () => {
    check((conclusion, sent) => {
      if (conclusion.kind !== 'outcome' || sent.some(({ answer }) => answer !== 'refused')) return;
      expect(['already-ended', 'superseded', 'not-in-flight', 'gone']).toContain(conclusion.outcome);
      expect(conclusion.attribution).toBeNull();
    });
  });

  it('I4: an outcome never follows from a single sighting', () => {
    check((conclusion, _sent, seen, ordered) => {
      if (conclusion.kind !== 'outcome') return;
      const views = seen.slice(-2).map((sighting) => viewOf(sighting, ordered));
      expect(views).toHaveLength(2);
      expect(views[0]).toBe(views[1]);
    });
  });

  it('I4: strong attribution only with an accepted request', () => {
    check((conclusion, sent) => {
      if (conclusion.kind !== 'outcome' || conclusion.attribution !== 'strong') return;
      expect(sent.some(({ answer }) => answer === 'accepted')).toBe(true);
    });
  });

  it('I5: a state that is unknown, null, idle or approval_required never sends, and never counts as an end by itself', () => {
    const unclear = fc.constantFrom('idle', 'approval_required', 'dreaming', 'PROCESSING', '', null);
    fc.assert(
      fc.property(unclear, fc.integer({ min: 1, max: 6 }), fc.boolean(), (state, count, confirming) => {
        const conclusion = conclude(ORDERED, [], times(count, saw(state)), confirming);
        expect(conclusion).toEqual(count === 1 ? LOOK_AGAIN : ended('not-in-flight', false));
      }),
    );
  });

  it('gives only outcomes of the contract', () => {
    check((conclusion) => {
      if (conclusion.kind === 'outcome') expect(OUTCOMES).toContain(conclusion.outcome);
    });
  });
});

describe('newerTurnPerhapsHit', () => {
  const request = { readAtMs: STARTED_AT + 600_000, answeredAtMs: STARTED_AT + 601_000 };
  const between = STARTED_AT + 600_500;

  it('names the newer turn whose message came between the read and the answer', () => {
    const sighting = sawNewer('failed', { turnStartedAtMs: between });
    expect(newerTurnPerhapsHit(request, ORDERED, sighting)).toEqual(turn('newer', between));
  });

  it.each(['processing', 'queued', 'completed'])('spares a newer turn that is %s: it was not hit', (state) => {
    expect(newerTurnPerhapsHit(request, ORDERED, sawNewer(state, { turnStartedAtMs: between }))).toBeNull();
  });

  it.each(['failed', 'idle', null])('fears for a newer turn in state %s', (state) => {
    expect(newerTurnPerhapsHit(request, ORDERED, sawNewer(state, { turnStartedAtMs: between }))).not.toBeNull();
  });

  it('finds a turn that came and went before the one that is last now', () => {
    const hit = turn('hit', between);
    const sighting = sawNewer('processing', {
      turnStartedAtMs: between + 60_000,
      earlierTurns: [turn('ordered', STARTED_AT), hit],
    });
    expect(newerTurnPerhapsHit(request, ORDERED, sighting)).toEqual(hit);
  });

  it('does not take an older turn for a newer one, though a slow read is booked as if it were before it', () => {
    const older = turn('older', between);
    const late = { key: ORDERED.key, startedAtMs: between + 1_000 };
    const sighting = saw('failed', { turnStartedAtMs: late.startedAtMs, earlierTurns: [older] });
    expect(newerTurnPerhapsHit({ ...request, answeredAtMs: between + 30_000 }, late, sighting)).toBeNull();
  });

  it('goes by places where the ordered turn has no time', () => {
    const untimed = { key: ORDERED.key, startedAtMs: null };
    const ordered = { key: ORDERED.key ?? '', startedAtMs: null };
    const [older, newer] = [turn('older', between), turn('newer', between + 1)];
    const last = { turnStartedAtMs: between + 60_000 };
    const before = sawNewer('completed', { ...last, earlierTurns: [older, ordered] });
    const after = sawNewer('completed', { ...last, earlierTurns: [older, ordered, newer] });
    const gone = sawNewer('completed', { ...last, earlierTurns: [older] });
    expect(newerTurnPerhapsHit(request, untimed, before)).toBeNull();
    expect(newerTurnPerhapsHit(request, untimed, after)).toEqual(newer);
    expect(newerTurnPerhapsHit(request, untimed, gone)).toEqual(older);
  });

  it('never names the ordered turn itself', () => {
    const late = { key: ORDERED.key, startedAtMs: between };
    expect(newerTurnPerhapsHit(request, late, saw('failed', { turnStartedAtMs: between }))).toBeNull();
  });

  it.each([
    ['just before the read', request.readAtMs - 1, false],
    ['at the read', request.readAtMs, true],
    ['within the second in which the answer came', request.answeredAtMs + 1_000, true],
    ['after it', request.answeredAtMs + 1_001, false],
    ['at an unknown time', null, false],
  ])('a message %s', (_title, startedAtMs, hit) => {
    const found = newerTurnPerhapsHit(request, ORDERED, sawNewer('failed', { turnStartedAtMs: startedAtMs }));
    expect(found !== null).toBe(hit);
  });

  it('takes the longest request as the span when no answer was stored', () => {
    const leftByMs = request.readAtMs + 40_000;
    const unanswered = { ...request, leftByMs, answeredAtMs: null };
    const latest = leftByMs + LONGEST_REQUEST_MS + 1_000;
    expect(newerTurnPerhapsHit(unanswered, ORDERED, sawNewer('failed', { turnStartedAtMs: latest }))).not.toBeNull();
    expect(newerTurnPerhapsHit(unanswered, ORDERED, sawNewer('failed', { turnStartedAtMs: latest + 1 }))).toBeNull();
  });

  it('allows for the slowest read where nobody noted by when the request had left', () => {
    const unanswered = { ...request, leftByMs: null, answeredAtMs: null };
    const latest = request.readAtMs + 32_000 + LONGEST_REQUEST_MS + 1_000;
    expect(newerTurnPerhapsHit(unanswered, ORDERED, sawNewer('failed', { turnStartedAtMs: latest }))).not.toBeNull();
    expect(newerTurnPerhapsHit(unanswered, ORDERED, sawNewer('failed', { turnStartedAtMs: latest + 1 }))).toBeNull();
  });
});
