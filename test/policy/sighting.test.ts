import { describe, expect, it } from '@jest/globals';
import { sightingOf, viewOf, type OrderedTurn, type Sighting } from '../../src/core/policy/sighting.js';
import { flightOf } from '../../src/core/policy/state.js';
import { ORDERED, saw, sawNewer, sawNothing, sawOlder, STARTED_AT } from './sightings.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

describe('flightOf', () => {
  it.each([
    ['processing', 'in-flight'],
    ['queued', 'in-flight'],
    ['completed', 'at-rest'],
    ['failed', 'at-rest'],
    ['idle', 'unclear'],
    ['approval_required', 'unclear'],
    ['cancelled', 'unclear'],
    ['PROCESSING', 'unclear'],
    ['', 'unclear'],
    [null, 'unclear'],
  ])('takes %s as %s', (state, flight) => {
    expect(flightOf(state)).toBe(flight);
  });
});

describe('viewOf', () => {
  const timeless: OrderedTurn = { key: 'ordered', startedAtMs: null };
  const unbound: OrderedTurn = { key: null, startedAtMs: null };

  const UNIDENTIFIED: OrderedTurn = { key: null, startedAtMs: null, unidentified: true };

  it.each<[string, Sighting, OrderedTurn, string]>([
    ['the ordered turn processing', saw('processing'), ORDERED, 'in-flight'],
    ['the ordered turn queued', saw('queued'), ORDERED, 'in-flight'],
    ['the ordered turn completed', saw('completed'), ORDERED, 'completed'],
    ['the ordered turn failed', saw('failed'), ORDERED, 'failed'],
    ['the ordered turn idle', saw('idle'), ORDERED, 'unclear'],
    ['a turn that may be the ordered one, idle', saw('idle'), UNIDENTIFIED, 'unclear'],
    ['a turn that may be the ordered one, in flight', saw('processing'), UNIDENTIFIED, 'unclear'],
    ['a turn that may be the ordered one, at rest', saw('completed'), UNIDENTIFIED, 'newer-at-rest'],
    ['the ordered turn in an unknown state', saw('dreaming'), ORDERED, 'unclear'],
    ['a newer turn processing', sawNewer('processing'), ORDERED, 'newer-in-flight'],
    ['a newer turn failed', sawNewer('failed'), ORDERED, 'newer-at-rest'],
    ['a newer turn with a null state', sawNewer(null), ORDERED, 'newer-unclear'],
    ['an older turn', sawOlder('processing'), ORDERED, 'stale'],
    [
      'a turn that began at the same moment',
      sawNewer('queued', { turnStartedAtMs: STARTED_AT }),
      ORDERED,
      'newer-in-flight',
    ],
    ['another turn without a time', sawNewer('queued', { turnStartedAtMs: null }), ORDERED, 'newer-in-flight'],
    ['another turn, when the ordered one has no time', sawOlder('queued'), timeless, 'newer-in-flight'],
    ['the ordered turn, both without a time', saw('failed', { turnStartedAtMs: null }), timeless, 'failed'],
    ['any turn, when the order is older than all', saw('processing'), unbound, 'newer-in-flight'],
    ['nothing', sawNothing(), ORDERED, 'missing'],
    ['nothing, for an order older than all', sawNothing(), unbound, 'missing'],
  ])('%s', (_title, sighting, ordered, view) => {
    expect(viewOf(sighting, ordered)).toBe(view);
  });
});

describe('sightingOf', () => {
  const message = (id: string, createdAtMs: number) => ({ id, role: 'user', createdAtMs });

  it('keeps the last turn and at most four before it', () => {
    const messages = [1, 2, 3, 4, 5, 6, 7].map((n) => message(`m${n}`, STARTED_AT + n));
    const sighting = sightingOf({ state: 'queued', transcript: transcriptOf(messages) }, STARTED_AT + 100);
    expect(sighting).toMatchObject({ missing: false, state: 'queued', turnKey: 'm7', turnStartedAtMs: STARTED_AT + 7 });
    expect(sighting.earlierTurns.map(({ key }) => key)).toEqual(['m3', 'm4', 'm5', 'm6']);
    expect(sighting.atMs).toBe(STARTED_AT + 100);
  });

  it('has no earlier turns when there is one', () => {
    expect(sightingOf({ state: null, transcript: transcriptOf([message('m1', STARTED_AT)]) }, 0).earlierTurns).toEqual(
      [],
    );
    expect(sightingOf({ state: null, transcript: transcriptOf([]) }, 0)).toMatchObject({
      turnKey: 'nth:0',
      earlierTurns: [],
    });
  });
});
