import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { globCovers, globMatches } from '../../src/core/policy/glob.js';
import { matches, matchVerdict, type MatchSubject } from '../../src/core/policy/match.js';
import { shortened } from '../../src/core/text/printable.js';
import type { Match } from '../../src/core/policy/policy.js';

const known: MatchSubject = {
  agentId: 'agent_1',
  agentName: 'support-triage',
  creatorId: 'user_7',
  creatorEmail: 'Ada@Example.com',
  teamId: 'team_a',
};
const nothing: MatchSubject = { agentId: null, agentName: null, creatorId: null, creatorEmail: null, teamId: null };

// Few letters and short texts, so that patterns and values often meet.
const word = fc.string({ unit: fc.constantFrom('a', 'b', '@'), maxLength: 3 });
const pattern = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '@', '*', '?'), minLength: 1, maxLength: 4 });
const patterns = fc.array(pattern, { minLength: 1, maxLength: 3 });
const field = fc.option(word, { nil: null });
const subjects: fc.Arbitrary<MatchSubject> = fc.record({
  agentId: field,
  agentName: field,
  creatorId: field,
  creatorEmail: field,
  teamId: field,
});
const values = fc.record({ agentId: word, agentName: word, creatorId: word, creatorEmail: word, teamId: word });
const rules = fc.letrec<{ rule: Match }>((tie) => ({
  rule: fc.oneof(
    { maxDepth: 3 },
    fc.record({ agents: patterns }),
    fc.record({ creators: patterns }),
    fc.record({ teams: fc.array(word, { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('rule') }),
    fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('rule'), { minLength: 1, maxLength: 3 }) }),
  ),
})).rule;

describe('a rule', () => {
  it.each<[string, Match, boolean]>([
    ['agents by exact id', { agents: ['agent_1'] }, true],
    ['agents by exact name', { agents: ['support-triage'] }, true],
    ['agents by glob on the name', { agents: ['sales-*', 'support-*'] }, true],
    ['agents of another name', { agents: ['sales-*'] }, false],
    ['agents in another case', { agents: ['Support-*'] }, false],
    ['creators by id', { creators: ['user_7'] }, true],
    ['creators by address in another case', { creators: ['ada@example.com'] }, true],
    ['creators by glob on the address', { creators: ['*@EXAMPLE.com'] }, true],
    ['creator ids in another case', { creators: ['USER_7'] }, false],
    ['teams by exact id', { teams: ['team_b', 'team_a'] }, true],
    ['teams by what looks like a glob', { teams: ['team_*'] }, false],
    ['all when each part fits', { all: [{ teams: ['team_a'] }, { agents: ['*'] }] }, true],
    ['all when one part does not', { all: [{ teams: ['team_a'] }, { agents: ['x'] }] }, false],
    ['any when one part fits', { any: [{ teams: ['team_x'] }, { agents: ['*'] }] }, true],
    ['any when no part does', { any: [{ teams: ['team_x'] }, { agents: ['x'] }] }, false],
    ['not of what does not fit', { not: { agents: ['x'] } }, true],
    ['not of what fits', { not: { agents: ['*'] } }, false],
  ])('decides on %s', (_what, match, expected) => {
    expect(matches(match, known)).toBe(expected);
  });
});

describe('texts that look the same', () => {
  // é and É as one code point, and as a letter with an accent behind it.
  const [composed, decomposed] = ['caf\u00E9', 'cafe\u0301'];
  const [ada, adaDecomposed] = ['ad\u00C9@example.com', 'adE\u0301@example.com'];

  it.each([
    [composed, decomposed],
    [decomposed, composed],
  ])('are excluded in whichever form they are written (%j, %j)', (written, named) => {
    const subject = { ...known, agentName: `${named}-bot`, creatorEmail: named === composed ? ada : adaDecomposed };
    const email = (written === composed ? ada : adaDecomposed).toLowerCase();
    expect(matchVerdict({ not: { agents: [`${written}-*`] } }, subject)).toBe(false);
    expect(matchVerdict({ not: { agents: [`${written}-bot`] } }, subject)).toBe(false);
    expect(matchVerdict({ not: { creators: [email] } }, subject)).toBe(false);
    expect(matchVerdict({ not: { teams: [written] } }, { ...subject, teamId: named })).toBe(false);
    expect(matches({ agents: [`${written}-b?t`] }, subject)).toBe(true);
    expect(globMatches('caf?', named)).toBe(true);
    expect(globCovers(`${written}-*`, `${named}-bot`)).toBe(true);
    expect(globCovers(written, named)).toBe(true);
  });

  it('do not match letters without their accent', () => {
    expect(globMatches('cafe', composed)).toBe(false);
    expect(globMatches('cafe', decomposed)).toBe(false);
  });
});

describe('what is not known about a session', () => {
  it('never matches a positive rule, not even the one for everything', () => {
    expect(matches({ agents: ['*'] }, nothing)).toBe(false);
    expect(matches({ creators: ['*'] }, nothing)).toBe(false);
    expect(matches({ teams: ['team_a'] }, nothing)).toBe(false);
  });

  it('does not match by way of "not": the creator may be the one who is left out', () => {
    const unknownCreator = { ...known, creatorEmail: null };
    expect(matchVerdict({ not: { creators: ['oncall@example.com'] } }, unknownCreator)).toBeNull();
    expect(matches({ not: { creators: ['oncall@example.com'] } }, unknownCreator)).toBe(false);
    expect(matches({ not: { not: { creators: ['oncall@example.com'] } } }, unknownCreator)).toBe(false);
  });

  it('does not matter where the known decides', () => {
    const onlyTeam = { ...nothing, teamId: 'team_a' };
    expect(matches({ any: [{ agents: ['x'] }, { teams: ['team_a'] }] }, onlyTeam)).toBe(true);
    expect(matchVerdict({ all: [{ agents: ['x'] }, { teams: ['team_b'] }] }, onlyTeam)).toBe(false);
    expect(matches({ agents: ['agent_1'] }, { ...nothing, agentId: 'agent_1' })).toBe(true);
  });

  it('never decides: a verdict stays, whatever the missing values turn out to be', () => {
    fc.assert(
      fc.property(rules, subjects, values, (match, subject, later) => {
        const verdict = matchVerdict(match, subject);
        fc.pre(verdict !== null);
        const completed = Object.fromEntries(
          Object.entries(subject).map(([name, value]: [string, string | null]) => [
            name,
            value ?? later[name as keyof MatchSubject],
          ]),
        ) as unknown as MatchSubject;
        expect(matchVerdict(match, completed)).toBe(verdict);
      }),
      { numRuns: 2_000 },
    );
  });

  it('brings no session of which nothing is known under any rule', () => {
    fc.assert(fc.property(rules, (match) => !matches(match, nothing)));
  });

  it('leaves no rule undecided when everything is known', () => {
    fc.assert(fc.property(rules, values, (match, subject) => matchVerdict(match, subject) !== null));
  });

  it('is treated alike in a rule and in its negation', () => {
    fc.assert(
      fc.property(rules, subjects, (match, subject) => {
        const verdict = matchVerdict(match, subject);
        expect(matchVerdict({ not: match }, subject)).toBe(verdict === null ? null : !verdict);
        expect(matchVerdict({ not: { not: match } }, subject)).toBe(verdict);
      }),
    );
  });

  it('follows De Morgan', () => {
    fc.assert(
      fc.property(rules, rules, subjects, (one, other, subject) => {
        expect(matchVerdict({ not: { any: [one, other] } }, subject)).toBe(
          matchVerdict({ all: [{ not: one }, { not: other }] }, subject),
        );
      }),
    );
  });
});

describe('a name that was shortened where it came in', () => {
  const verdictOf = (agents: string[], full: string, agentId: string | null = 'agent_1'): boolean | null =>
    matchVerdict({ agents }, { ...known, agentId, agentName: shortened(full, 500) });
  const long = `support-${'x'.repeat(600)}-prod`;

  it.each<[string, string[], boolean | null]>([
    ['a pattern that fits whatever follows', ['support-*'], true],
    ['a pattern for everything', ['*'], true],
    ['a pattern for what follows', ['*-prod'], null],
    ['a pattern for both ends', ['support-*-prod'], null],
    ['another beginning', ['sales-*-prod'], false],
    ['a name in full', ['support-triage'], false],
    ['as many single characters as are left of it', ['?'.repeat(500)], null],
    ['the sign that it was shortened by', ['*…'], null],
  ])('I5: decides only what its beginning decides: %s', (_what, agents, expected) => {
    expect(verdictOf(agents, long)).toBe(expected);
    expect(verdictOf(agents, long.slice(0, 500) + '…')).toBe(expected);
  });

  it('is none with fewer characters, whatever it ends with', () => {
    expect(verdictOf(['*…'], `${'x'.repeat(498)}…`)).toBe(true);
    expect(verdictOf(['*…'], 'x…')).toBe(true);
  });

  it('I5: never decides otherwise than the name in full', () => {
    const unit = fc.constantFrom('a', 'b', 'e\u0301', '\u00e9', '😀', '…');
    const name = fc.tuple(
      fc.string({ unit, maxLength: 4 }),
      unit,
      fc.integer({ min: 480, max: 510 }),
      fc.string({ unit, maxLength: 4 }),
    );
    const glob = fc.string({ unit: fc.oneof(unit, fc.constantFrom('*', '?')), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(name, glob, ([begin, filler, count, end], pattern) => {
        const full = begin + filler.repeat(count) + end;
        const verdict = verdictOf([pattern], full, 'no-glob-fits-this');
        if (verdict !== null) {
          const ofId = globMatches(pattern, 'no-glob-fits-this');
          expect(verdict).toBe(ofId || globMatches(pattern, full));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('globs', () => {
  it.each([
    ['support-*', 'support-', true],
    ['support-*', 'Support-x', false],
    ['*', '', true],
    ['?', '', false],
    ['?', '🦉', true],
    ['a*b*c', 'aXbXbXc', true],
    ['a*b*c', 'aXbXbX', false],
    ['[Prod] Bot', '[Prod] Bot', true],
    ['[Prod] Bot', 'P Bot', false],
    ['team/*', 'team/a/b', true],
    ['*.x', '.hidden.x', true],
    ['a.b', 'axb', false],
    ['', '', true],
    ['', 'a', false],
  ])('%j on %j: %j', (glob, text, expected) => {
    expect(globMatches(glob, text)).toBe(expected);
  });

  it('agree with a regular expression of the same meaning', () => {
    fc.assert(
      fc.property(pattern, word, (glob, text) => {
        const expression = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'u');
        expect(globMatches(glob, text)).toBe(expression.test(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('end soon on patterns and names that would keep a regular expression busy for ever', () => {
    expect(globMatches('*a'.repeat(60), `${'a'.repeat(5_000)}b`)).toBe(false);
  });

  it('that cover another match all that it matches', () => {
    fc.assert(
      fc.property(pattern, pattern, word, (outer, inner, text) => {
        return !globCovers(outer, inner) || !globMatches(inner, text) || globMatches(outer, text);
      }),
      { numRuns: 20_000 },
    );
    expect(globCovers('support-*', 'support-eu-*')).toBe(true);
    expect(globCovers('?', '*')).toBe(false);
  });
});
