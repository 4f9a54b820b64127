import { describe, expect, it } from '@jest/globals';
import { assess } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Observation } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { remember } from '../../src/core/policy/remember.js';
import { absent, everyScan, listed, MINUTE, policy, retrieved, SCAN, SECOND, T0 } from './observing.js';

/** 09:00:00 is {@link T0}. */
const at = (time: string): number => {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
  return (hours - 9) * 60 * MINUTE + minutes * MINUTE + seconds * SECOND;
};
const clock = (ms: number | null): string | null =>
  ms === null ? null : new Date(ms).toISOString().slice('2026-01-05T'.length, -'.000Z'.length);

describe('the worked example of docs/assessment.md', () => {
  const rule = policy(
    { max_runtime: 45 * MINUTE, max_credits: 500 },
    { name: 'no-all-nighters', warnAt: 0.8, graceMs: 2 * MINUTE },
  );
  const messages = [['m1', -86_400_000], ['m2', at('9:00:05')]] as const; // prettier-ignore
  let facts: Facts | null = null;

  const see = (...observations: readonly Observation[]) => {
    for (const one of observations) facts = observe(facts, one, SCAN);
  };
  const say = (time: string) => {
    if (facts === null) throw new Error('nothing seen');
    const assessment = assess(facts, [rule], T0 + at(time), SCAN);
    facts = remember(facts, assessment);
    const [verdict] = assessment.verdicts;
    return {
      kind: verdict?.kind,
      looks: clock(assessment.nextLookAt),
      retrieve: assessment.needsRetrieve,
      text: verdict?.reasons[0]?.text,
    };
  };
  const scans = (from: string, to: string) =>
    everyScan(at(from), at(to), 'processing', (ms) => 4_000 + Math.floor(ms / MINUTE));

  it('goes as the page says', () => {
    see(absent(at('9:00:00')), ...scans('9:00:15', '9:36:00'));
    expect(say('9:36:00')).toMatchObject({ kind: 'keep', retrieve: false, looks: '09:36:15' });
    expect(say('9:36:15')).toMatchObject({ kind: 'keep', retrieve: true });

    see(retrieved(at('9:36:15'), 'processing', messages, 4_036));
    expect(say('9:36:15')).toMatchObject({ kind: 'warn', text: 'has run 36m, limit 45m (+10s)' });

    see(...scans('9:36:30', '9:45:00'));
    expect(say('9:45:15')).toMatchObject({ kind: 'warn', retrieve: true });
    see(retrieved(at('9:45:15'), 'processing', messages, 4_045));
    expect(say('9:45:15')).toMatchObject({ kind: 'warn', text: 'has run 45m, limit 45m (+10s)' });

    see(...scans('9:45:30', '9:47:00'), listed(at('9:47:15'), 'processing', 4_047));
    expect(say('9:47:15')).toMatchObject({ kind: 'warn', retrieve: true });
    see(retrieved(at('9:47:16'), 'processing', messages, 4_047));
    expect(say('9:47:16')).toMatchObject({ kind: 'cancel', text: 'has run 47m 1s, limit 45m (+10s)' });
  });
});
