import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { differenceOf, differenceWords, isEmpty, newlyEnforcing } from '../../src/cli/policy-difference.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import type { PolicyFile } from '../../src/core/policy/policy.js';

const file = (body: string): PolicyFile => readPolicyFile(`version: 1\n${body}`, 'f', 0).file;
const policy = (name: string, mode: string, runtime: string): string =>
  `  - { name: ${name}, match: { agents: ["*"] }, limits: { max_runtime: ${runtime} }, mode: ${mode} }\n`;

describe('the difference of two policy files', () => {
  const before = file(`policies:\n${policy('a', 'observe', '45m')}${policy('b', 'enforce', '1h')}`);

  it('against nothing is everything', () => {
    const difference = differenceOf(null, before);
    expect(difference.policies.map(({ name, change, mode }) => [name, change, mode])).toEqual([
      ['a', 'new', { from: null, to: 'observe' }],
      ['b', 'new', { from: null, to: 'enforce' }],
    ]);
    expect(newlyEnforcing(difference)).toEqual(['b']);
  });

  it('names what is new, removed and changed, by the lines of its meaning', () => {
    const after = file(`policies:\n${policy('a', 'observe', '30m')}${policy('c', 'observe', '1h')}`);
    const { policies } = differenceOf(before, after);
    expect(policies.map(({ name, change }) => [name, change])).toEqual([
      ['a', 'changed'],
      ['c', 'new'],
      ['b', 'removed'],
    ]);
    expect(policies[0]).toMatchObject({
      removed: ['would end a turn when it has been processing for more than 45m'],
      added: ['would end a turn when it has been processing for more than 30m'],
    });
  });

  it('lets a policy that begins to end turns stand out', () => {
    const after = file(`policies:\n${policy('a', 'enforce', '45m')}${policy('b', 'enforce', '1h')}`);
    const difference = differenceOf(before, after);
    expect(newlyEnforcing(difference)).toEqual(['a']);
    expect(stripVTControlCharacters(differenceWords(difference))).toContain(
      '~ policy a (changed)  BEGINS TO END TURNS\n    - observe: says what it would end, and ends nothing',
    );
  });

  it('has cleanups, routes and exemptions, too', () => {
    const more = `cleanup: [{ name: stale, select: { states: [queued], queued_for: 6h }, schedule: { cron: "0 3 * * *" } }]
notify: { ops: { slack: { url_file: /run/secrets/slack } } }
exempt: [{ session: sess_1, until: 2026-12-01T00:00:00Z, reason: agreed }]
policies: [{ name: a, match: { agents: ["*"] }, limits: { max_runtime: 45m }, notify: [ops] }]`;
    const difference = differenceOf(before, file(more));
    expect(difference.cleanup.map(({ name, change }) => [name, change])).toEqual([['stale', 'new']]);
    expect(difference.notify.map(({ name, change }) => [name, change])).toEqual([['ops', 'new']]);
    expect(difference.exempt).toEqual([
      { name: 'sess_1', change: 'new', removed: [], added: ['left alone until 2026-12-01T00:00:00.000Z: agreed'] },
    ]);
  });

  it('is none for another order of the same entries', () => {
    const turned = file(`policies:\n${policy('b', 'enforce', '1h')}${policy('a', 'observe', '45m')}`);
    const difference = differenceOf(before, turned);
    expect(isEmpty(difference)).toBe(true);
    expect(differenceWords(difference)).toContain('Only the order of entries changes');
  });
});
