import { describe, expect, it } from '@jest/globals';
import { namedButNotFound } from '../../src/engines/fleet/coverage-watch.js';
import type { Match } from '../../src/core/policy/policy.js';

const agents = [
  { id: 'agent_1', name: 'caf\u00E9-bot' },
  { id: 'agent_2', name: null },
];
const notFound = (...matches: Match[]): string[] =>
  namedButNotFound(
    matches.map((match) => ({ match })),
    agents,
  );

describe('names in policies that no agent has', () => {
  it('are told, wherever they stand', () => {
    expect(notFound({ agents: ['agent_1', 'typo'] }, { not: { any: [{ agents: ['typo-2'] }] } })).toEqual([
      'typo',
      'typo-2',
    ]);
  });

  it('are compared as rules compare them', () => {
    expect(notFound({ agents: ['cafe\u0301-bot'] }, { not: { agents: ['cafe\u0301-bot'] } })).toEqual([]);
  });

  it('are told with their globs where they are excluded: such an exclusion protects nobody', () => {
    expect(notFound({ agents: ['later-*'] })).toEqual([]);
    expect(notFound({ not: { agents: ['later-*', 'agent_?'] } })).toEqual(['later-*']);
    expect(notFound({ all: [{ agents: ['*'] }, { not: { agents: ['cafe-*'] } }] })).toEqual(['cafe-*']);
    // What is excluded from an exclusion is asked for again.
    expect(notFound({ not: { not: { agents: ['later-*'] } } })).toEqual([]);
  });
});
