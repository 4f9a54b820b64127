import { describe, expect, it } from '@jest/globals';
import { assess } from '../../src/core/policy/assess.js';
import { observe } from '../../src/core/policy/observe.js';
import { remember } from '../../src/core/policy/remember.js';
import { stillViolates } from '../../src/core/policy/still-violates.js';
import { factsOf, HOUR, listed, MINUTE, policy, retrieved, SCAN, T0 } from './observing.js';

const RULE = policy({ max_runtime: 45 * MINUTE }, { graceMs: 2 * MINUTE });
const violating = factsOf(retrieved(0, 'processing', [['m1', -50 * MINUTE]]));
const ordered = remember(violating, assess(violating, [RULE], T0, SCAN));
const at = 3 * MINUTE;
const same = retrieved(at, 'processing', [['m1', -50 * MINUTE]]);
const ask = (read: typeof same, rule = RULE, facts: typeof ordered | null = ordered) =>
  stillViolates(facts, read, rule, 'm1', read.atMs, SCAN);

describe('an order at the gate', () => {
  it('stands while its turn still breaks the limit', () => {
    expect(ask(same)).toMatchObject({ violates: 'yes', isOrderedTurn: true });
  });

  it('stands without any facts, on what the read shows', () => {
    expect(ask(same, RULE, null)).toMatchObject({ violates: 'yes', isOrderedTurn: true });
  });

  it('falls when a younger turn runs that breaks nothing', () => {
    const younger = retrieved(at, 'processing', [['m1', -50 * MINUTE], ['m2', at - 1_000]]); // prettier-ignore
    expect(ask(younger)).toMatchObject({ violates: 'no', isOrderedTurn: false, verdict: { turnKey: 'm2' } });
  });

  it('falls on a younger turn of which nothing certain is known', () => {
    const rule = { ...RULE, limits: { ...RULE.limits, max_credits: 10 } };
    const younger = retrieved(at, 'processing', [['m1', -50 * MINUTE], ['m2', at - 1_000]], 900); // prettier-ignore
    expect(ask(younger, rule)).toMatchObject({ violates: 'no', isOrderedTurn: false });
  });

  it('goes on with a younger turn that breaks a limit itself, after its own grace', () => {
    const younger = (when: number) => retrieved(when, 'processing', [['m1', -50 * MINUTE], ['m2', at - 1_000]]); // prettier-ignore
    const first = observe(ordered, younger(at), SCAN);
    const run = [...Array(184).keys()].reduce(
      (facts, n) => observe(facts, listed(at + (n + 1) * 15_000, 'processing'), SCAN),
      first,
    );
    const broken = ask(younger(at + 46 * MINUTE + 1), RULE, run);
    expect(broken).toMatchObject({ violates: 'no', verdict: { kind: 'warn', note: 'in-grace' } });
    const marked = remember(broken.facts, { verdicts: [broken.verdict], nextLookAt: null, needsRetrieve: false });
    expect(ask(younger(at + 49 * MINUTE), RULE, marked)).toMatchObject({ violates: 'yes', isOrderedTurn: false });
  });

  it('falls when the policy does not enforce any more, or its limit was raised', () => {
    expect(ask(same, { ...RULE, mode: 'observe' }).violates).toBe('no');
    expect(ask(same, { ...RULE, limits: { ...RULE.limits, max_runtime: HOUR } }).violates).toBe('no');
  });

  it('I5: is held when the read shows a state that is not known', () => {
    expect(ask(retrieved(at, null, [['m1', -50 * MINUTE]])).violates).toBe('unknown');
  });

  it('I5: is held when the clock of unbroken processing was lost', () => {
    const rule = policy({ max_continuous_runtime: HOUR });
    expect(ask(same, rule, null).violates).toBe('unknown');
  });
});
