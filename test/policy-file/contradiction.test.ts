import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { contradictions } from '../../src/core/policy-file/contradiction.js';
import { matches, type MatchSubject } from '../../src/core/policy/match.js';
import type { Match } from '../../src/core/policy/policy.js';
import { fileWith, problems, read } from './support.js';

describe('a rule that can never match is refused', () => {
  it.each<[string, string, string, string]>([
    [
      'two teams at once',
      '{ all: [{ teams: [a, b] }, { teams: [c] }] }',
      'match.all',
      'no session is of teams a, b and of teams c at once',
    ],
    [
      'two agents at once',
      '{ all: [{ agents: [agent_1] }, { agents: [agent_2] }] }',
      'match.all',
      'no session is of agents agent_1',
    ],
    [
      'two creators at once',
      '{ all: [{ creators: [a@x.org] }, { creators: [b@x.org] }] }',
      'match.all',
      'no session is of creators a@x.org',
    ],
    [
      'two creator ids at once',
      '{ all: [{ creators: [u_1] }, { creators: [u_2] }] }',
      'match.all',
      'no session is of creators u_1',
    ],
    [
      'deep in all of all',
      '{ all: [{ teams: [a] }, { all: [{ agents: ["*"] }, { teams: [b] }] }] }',
      'match.all',
      'no session is of teams a',
    ],
    [
      'within any',
      '{ any: [{ agents: [x] }, { all: [{ teams: [a] }, { teams: [b] }] }] }',
      'match.any[1].all',
      'no session is of',
    ],
    [
      'not of all agents',
      '{ not: { agents: ["**"] } }',
      'match',
      'not is in front of a rule that every session matches',
    ],
    [
      'not of all creators, in any',
      '{ not: { any: [{ agents: [x] }, { creators: [x, "*"] }] } }',
      'match',
      'not is in front of',
    ],
    [
      'a and not a',
      '{ all: [{ agents: [a] }, { not: { agents: [b, a] } }] }',
      'match.all',
      'it asks for agents a and leaves the same out',
    ],
    [
      'a and not a wider glob',
      '{ all: [{ agents: ["support-eu-*", "support-us"] }, { not: { agents: ["support-*"] } }] }',
      'match.all',
      'leaves the same out',
    ],
    [
      'a and not a in another normal form',
      '{ all: [{ agents: ["caf\u00E9"] }, { not: { agents: ["cafe\u0301"] } }] }',
      'match.all',
      'leaves the same out',
    ],
    [
      'a team and neither it nor another',
      '{ all: [{ teams: [a] }, { not: { any: [{ teams: [b] }, { teams: [a] }] } }] }',
      'match.all',
      'leaves the same out',
    ],
  ])('%s', (_what, match, path, message) => {
    const found = problems(fileWith({ match }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ line: 4, path: `policies[0].${path}` });
    expect(found[0]?.message).toContain('can never match');
    expect(found[0]?.message).toContain(message);
    expect(found[0]?.suggestion).not.toBeNull();
  });

  it('also in a cleanup', () => {
    const text =
      'version: 1\ncleanup:\n  - name: a\n    select:\n      states: [queued]\n      queued_for: 1h\n      match: { not: { agents: ["*"] } }\n    schedule: { cron: "0 3 * * *" }\n';
    expect(problems(text)).toMatchObject([{ line: 7, path: 'cleanup[0].select.match' }]);
  });

  it.each([
    ['{ all: [{ teams: [a, b] }, { teams: [b, c] }] }'],
    ['{ all: [{ agents: ["support-*"] }, { agents: ["*-eu"] }] }'],
    ['{ all: [{ creators: [u_1] }, { teams: [u_2] }] }'],
    ['{ all: [{ creators: [A@x.org] }, { creators: [a@X.org] }] }'],
    ['{ all: [{ agents: ["support-*"] }, { not: { agents: ["support-eu-*"] } }] }'],
    ['{ all: [{ agents: ["caf\u00E9"] }, { agents: ["cafe\u0301"] }] }'],
    ['{ not: { agents: ["?*"] } }'],
    ['{ not: { teams: ["*"] } }'],
    ['{ any: [{ teams: [a] }, { teams: [b] }] }'],
  ])('but %s can match', (match) => {
    expect(() => read(fileWith({ match }))).not.toThrow();
  });

  it('and never one that some session fits', () => {
    // Ids and names, ids and addresses, can be told apart, as the vendor's can.
    const agentId = fc.constantFrom('agent_a', 'agent_b');
    const agentName = fc.constantFrom('a', 'b', 'ab');
    const creatorId = fc.constantFrom('u_a', 'u_b');
    const email = fc.constantFrom('a@x', 'B@x');
    const team = fc.constantFrom('a', 'b', 'c');
    const glob = fc.constantFrom('*', 'a*', '*b', '?', 'agent_*', '*@x', '**');
    const some = (value: fc.Arbitrary<string>) => fc.array(value, { minLength: 1, maxLength: 2 });
    const rule = fc.letrec<{ rule: Match }>((tie) => ({
      rule: fc.oneof(
        { maxDepth: 3 },
        fc.record({ agents: some(fc.oneof(agentId, agentName, glob)) }),
        fc.record({ creators: some(fc.oneof(creatorId, email, glob)) }),
        fc.record({ teams: some(team) }),
        fc.record({ not: tie('rule') }),
        fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ any: fc.array(tie('rule'), { minLength: 1, maxLength: 2 }) }),
      ),
    })).rule;
    const subject: fc.Arbitrary<MatchSubject> = fc.record({
      agentId,
      agentName,
      creatorId,
      creatorEmail: email,
      teamId: team,
    });
    let refused = 0;
    fc.assert(
      fc.property(rule, fc.array(subject, { minLength: 5, maxLength: 20 }), (match, subjects) => {
        for (const { severity, path } of contradictions(match, [])) {
          if (severity !== 'error') continue;
          refused++;
          const place = path.at(-1) === 'all' ? path.slice(0, -1) : path;
          const part = place.reduce<unknown>(
            (value, key) => (value as Record<string | number, unknown>)[key],
            match,
          ) as Match;
          expect(subjects.filter((one) => matches(part, one))).toEqual([]);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
