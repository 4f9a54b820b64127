import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { covers } from '../../src/core/policy-file/without-effect.js';
import { matches, type MatchSubject } from '../../src/core/policy/match.js';
import type { Match } from '../../src/core/policy/policy.js';
import { fileWith, line, problems, read } from './support.js';
import '../support/property-seed.js';

const warnings = (text: string): string[] => read(text).warnings.map(line);

interface Written {
  readonly match?: string;
  readonly limits: string;
  readonly more?: string;
}
/** Enforcing policies `p0`, `p1` …, a line each for name, match, limits, mode and more: the limits of the first are in line 5. */
const enforcing = (...policies: Written[]): string =>
  `version: 1\npolicies:\n${policies
    .map(
      ({ match = '{ agents: ["*"] }', limits, more = '' }, index) =>
        `  - name: p${index}\n    match: ${match}\n    limits: ${limits}\n    mode: enforce\n    ${more}\n`,
    )
    .join('')}`;

describe('typographic signs in names are told', () => {
  it.each([
    ['[“support-*”]', '“support-*”', 'typographic quotes', 'Did you mean "support-*"?'],
    ['[„support“, fine]', '„support“', 'typographic quotes', 'Did you mean "support"?'],
    ['[«a»]', '«a»', 'typographic quotes', 'Did you mean "a"?'],
    ['[“a, b”]', '“a', 'typographic quotes', 'Did you mean "a"?'],
    ['["sup\u200Bport"]', 'sup', "can't be seen (U+200B)", 'Type the name again'],
    ['["support bot"]'.replace(' ', '\u00A0'), 'support', 'a no-break space (U+00A0)', 'ordinary space'],
    ['["support-＊"]', '＊', 'is not *', 'Did you mean "support-*"?'],
    ['["support\u2011*"]', '\u2011', 'is not -', 'Did you mean "support-*"?'],
  ])('%s', (agents, named, message, suggestion) => {
    for (const match of [`{ agents: ${agents} }`, `{ all: [{ agents: ["*"] }, { not: { agents: ${agents} } }] }`]) {
      const [first] = warnings(fileWith({ match }));
      expect(first).toMatch(/^4: /);
      expect(first).toContain(named);
      expect(first).toContain(message);
      expect(first).toContain(suggestion);
    }
  });

  it.each(['Ada’s bot', 'EU – support', '👩‍💻 helper', 'café-*', '日本語', 'the agents’'])(
    'but %s is a name like any other',
    (name) => expect(warnings(fileWith({ match: `{ agents: [${JSON.stringify(name)}] }` }))).toEqual([]),
  );
});

describe('spaces that only look like some', () => {
  it('in the indentation are the one problem that is told, with all their lines', () => {
    const text = fileWith({}).replaceAll(/^ {4}/gm, '\u00A0\u00A0\u00A0\u00A0');
    expect(problems(text).map(line)).toEqual([
      expect.stringMatching(
        /^4: a no-break space \(U\+00A0\) stands here where YAML needs an ordinary space; also in line 5/,
      ),
    ]);
  });

  it.each([
    ['behind a colon', fileWith({}).replace('limits: ', 'limits:\u00A0'), 5],
    ['behind a dash', fileWith({}).replace('- name', '-\u2003name'), 3],
  ])('%s are told', (_where, text, at) => {
    const [only, ...others] = problems(text);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ line: at, message: expect.stringContaining('space (U+') });
  });

  it('elsewhere are no problem, and hide no other one', () => {
    const text = `# a\u00A0comment\n${fileWith({ limits: '{ max_runtime: 45 }' })}`;
    expect(problems(text).map(({ message }) => message)).toEqual([expect.stringContaining('max_runtime')]);
    expect(read(`#\u00A0a\n  # \u00A0\n${fileWith({})}`).warnings).toEqual([]);
    expect(problems(`\u00A0\n${fileWith({})}`)).toMatchObject([{ line: 1, column: 1 }]);
  });
});

describe('what nobody hears is told', () => {
  it.each(['warn_at: 80%', 'caps: { max_cancels: 3 }', 'on_restart: report', 'on_restart: { cancel: { max: 2 } }'])(
    '%s in a policy without a route',
    (more) => {
      const key = more.split(':')[0] ?? '';
      expect(warnings(fileWith({ more }))).toEqual([expect.stringMatching(new RegExp(`^6: ${key} .*route`))]);
      const routes = 'notify:\n  ops: { slack: { url_file: /run/slack } }\n';
      expect(warnings(`${fileWith({ more: `${more}\n    notify: [ops]` })}${routes}`)).toEqual([]);
      expect(warnings(fileWith({ more: `${more}\n    mode: off` }))).toEqual([]);
    },
  );

  it('a route that no policy names', () => {
    const routes = 'notify:\n  ops: { slack: { url_file: /run/slack } }\n  left: { slack: { url_file: /run/slack } }\n';
    expect(warnings(`${fileWith({ more: 'notify: [ops]' })}${routes}`)).toEqual([
      expect.stringMatching(/^9: no policy names this route/),
    ]);
    const cleanup =
      'version: 1\ncleanup:\n  - name: a\n    select: { states: [queued], queued_for: 1h }\n    schedule: { cron: "0 3 * * *" }\n';
    expect(warnings(`${cleanup}${routes}`)).toEqual([]);
  });
});

describe('a limit that a stricter policy never lets be reached is told', () => {
  it('with both numbers, and what to do', () => {
    const text = enforcing(
      { limits: '{ max_runtime: 4h }' },
      { match: '{ agents: ["eval-*"] }', limits: '{ max_runtime: 12h, max_credits: 5 }' },
    );
    expect(warnings(text)).toEqual([
      '10: max_runtime is never reached: policy p0 ends every such turn at 4h, and the strictest limit counts | To allow these sessions more, leave them out of p0 with not; to end them sooner, set this limit lower.',
    ]);
  });

  it.each<[string, Written, Written]>([
    [
      'it is for other agents',
      { match: '{ agents: ["a-*"] }', limits: '{ max_runtime: 4h }' },
      { limits: '{ max_runtime: 12h }' },
    ],
    ['it is another limit', { limits: '{ max_credits: 4 }' }, { limits: '{ max_runtime: 12h }' }],
    ['its grace is longer', { limits: '{ max_runtime: 4h }', more: 'grace: 9h' }, { limits: '{ max_runtime: 12h }' }],
    [
      'its grace is longer, of an amount',
      { limits: '{ max_credits: 4 }', more: 'grace: 1m' },
      { limits: '{ max_credits: 9 }' },
    ],
    [
      'it leaves them out',
      { match: '{ all: [{ agents: ["*"] }, { not: { agents: ["eval-*"] } }] }', limits: '{ max_runtime: 4h }' },
      { match: '{ agents: ["eval-*"] }', limits: '{ max_runtime: 12h }' },
    ],
    [
      'it is about creators, who may be unknown',
      { match: '{ creators: ["*"] }', limits: '{ max_runtime: 4h }' },
      { limits: '{ max_runtime: 12h }' },
    ],
    ['they are equal', { limits: '{ max_runtime: 4h }' }, { limits: '{ max_runtime: 4h }' }],
  ])('not when %s', (_why, one, other) => {
    // "its grace is longer" keeps 4h + 9h apart from 12h.
    expect(warnings(enforcing(one, other)).filter((text) => text.includes('never reached'))).toEqual([]);
  });

  it('not by a policy that only observes, or is off', () => {
    const text = enforcing({ limits: '{ max_runtime: 4h }' }, { limits: '{ max_runtime: 12h }' });
    for (const mode of ['observe', 'off']) {
      expect(warnings(text.replace('mode: enforce', `mode: ${mode}`))).toEqual([]);
    }
  });

  it('only where every session that fits the looser one fits the stricter one', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '@'), minLength: 1, maxLength: 2 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '@', '*', '?'), minLength: 1, maxLength: 3 });
    const patterns = fc.array(pattern, { minLength: 1, maxLength: 2 });
    const rules = fc.letrec<{ rule: Match }>((tie) => ({
      rule: fc.oneof(
        { maxDepth: 2 },
        fc.record({ agents: patterns }),
        fc.record({ creators: patterns }),
        fc.record({ teams: fc.array(word, { minLength: 1, maxLength: 2 }) }),
        fc.record({ not: tie('rule') }),
        fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 2 }) }),
        fc.record({ any: fc.array(tie('rule'), { minLength: 1, maxLength: 2 }) }),
      ),
    })).rule;
    const field = fc.option(word, { nil: null });
    const subjects: fc.Arbitrary<MatchSubject> = fc.record({
      ...{ agentId: word, agentName: field, creatorId: field, creatorEmail: field, teamId: field },
    });
    let covered = 0;
    fc.assert(
      fc.property(rules, rules, subjects, (outer, inner, subject) => {
        if (!covers(outer, inner)) return true;
        covered += 1;
        return !matches(inner, subject) || matches(outer, subject);
      }),
      { numRuns: 30_000 },
    );
    expect(covered).toBeGreaterThan(100);
  });
});
