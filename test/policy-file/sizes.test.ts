import { describe, expect, it } from '@jest/globals';
import { PolicyFileError, readPolicyFile } from '../../src/core/policy-file/index.js';

const HEAD = 'version: 1\npolicies:\n';
/** Nearly a megabyte of lines. */
function filled(head: string, line: (n: number) => string, characters = 980_000): string {
  const lines = [head];
  for (let n = 0, size = head.length; size < characters; n += 1) {
    const one = line(n);
    lines.push(one);
    size += one.length;
  }
  return lines.join('');
}
const repeat = (count: number, text: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => text(n)).join('');

const refusal = (text: string): PolicyFileError => {
  const before = performance.now();
  try {
    readPolicyFile(text, 'curfew.yaml');
  } catch (error) {
    if (!(error instanceof PolicyFileError)) throw error;
    expect(performance.now() - before).toBeLessThan(SOON_MS);
    return error;
  }
  throw new Error('It was not refused.');
};

/** Each took from many seconds to for ever; some hundred milliseconds are usual now. */
const SOON_MS = 15_000;

describe('a file of under a megabyte', () => {
  it.each<[string, string, string]>([
    ['aliases', filled('version: 1\nx: &a [1]\npolicies:\n', () => '  - *a\n'), 'more than 1000 aliases'],
    ['anchors', filled(HEAD, (n) => `  - &a${n} x\n`), 'more than 1000 anchors'],
    ['aliases of aliases', filled(`${HEAD}  - &a0 x\n`, (n) => `  - &a${n + 1} [*a${n}]\n`), 'more than 1000'],
    ['aliases without an anchor', filled(HEAD, () => '  - *zz\n'), 'more than 1000 aliases'],
    ['keys', filled('version: 1\n', (n) => `max_runtim${n}: 1\n`), 'more than 50,000 keys'],
    ['keys in one pair of braces', filled('version: 1\nx: {', (n) => `a${n}: 1, `), 'more than 50,000 keys'],
    ['routes', filled(`${HEAD}notify:\n`, (n) => `  r${n}: { slack: { url_file: /x } }\n`), 'more than 50,000 keys'],
    ['brackets', `version: 1\npolicies: ${'['.repeat(900_000)}`, 'too much is nested here'],
    ['values', filled('version: 1\npolicies: [', () => '1,'), 'more than 200,000 values'],
    [
      'copies by aliases',
      `version: 1\nx: &m {${repeat(3_000, (n) => `k${n}: 1, `)}}\npolicies:\n${repeat(900, () => '  - *m\n')}`,
      'aliases repeat too much of this file',
    ],
  ])(
    'S11: is refused soon for its number of %s',
    (_what, text, why) => {
      expect(text.length).toBeLessThan(1_000_000);
      expect(refusal(text).problems[0]?.message).toContain(why);
    },
    SOON_MS,
  );

  const routes = repeat(1_000, (n) => `  route-${n}: { slack: { url_file: /x } }\n`);
  it.each<[string, string, number]>([
    ['unknown keys', `${HEAD}  - name: a\n${repeat(40_000, (n) => `    max_runtim${n}: 1\n`)}`, 40_000],
    [
      'unknown routes',
      `${HEAD}${repeat(
        900,
        (n) =>
          `  - {name: p${n}, match: {agents: [a]}, limits: {max_runtime: 1m}, notify: [${repeat(20, (k) => `rout${n}-${k},`)}]}\n`,
      )}notify:\n${routes}`,
      18_000,
    ],
    [
      'misspelt time zones',
      `version: 1\ncleanup:\n${repeat(
        900,
        (n) =>
          `  - { name: c${n}, select: { states: [queued], queued_for: 6h }, schedule: { cron: "0 3 * * *", timezone: Europe/Berlim${n} } }\n`,
      )}`,
      900,
    ],
    ['the same key again', `version: 1\n${repeat(40_000, () => 'version: 1\n')}`, 40_000],
  ])(
    'S11: shows the first hundred problems, and the number of the others: %s',
    (_what, text, least) => {
      const error = refusal(text);
      expect(error.total).toBeGreaterThanOrEqual(least);
      expect(error.problems).toHaveLength(101);
      expect(error.problems.at(-1)?.message).toBe(`${error.total - 100} more are not shown`);
      expect(error.message).toContain(`${error.total} problems`);
      expect(error.warnings.length).toBeLessThanOrEqual(101);
    },
    SOON_MS,
  );

  it('shows the first hundred warnings alike', () => {
    const until = '2020-12-01T00:00:00Z';
    const { warnings } = readPolicyFile(
      `${HEAD}  - {name: a, match: {agents: [a]}, limits: {max_runtime: 1m}}\nexempt:\n${repeat(
        150,
        (n) => `  - { session: s${n}, until: ${until}, reason: x }\n`,
      )}`,
      'curfew.yaml',
    );
    expect(warnings).toHaveLength(101);
    expect(warnings.at(-1)?.message).toBe('50 more are not shown');
  });

  it(
    'S11: may have a thousand policies of many keys each, and an alias in each',
    () => {
      const policies = repeat(
        998,
        (n) =>
          `  - name: p${n}\n    match: *m\n    limits: { max_runtime: ${n + 2}m, max_credits: 5, max_tokens: 2M }\n    mode: observe\n`,
      );
      const text = `${HEAD}  - name: first\n    match: &m { agents: ["a-*"] }\n    limits: { max_runtime: 1m }\n${policies}`;
      expect(readPolicyFile(text, 'curfew.yaml').file.policies).toHaveLength(999);
    },
    SOON_MS,
  );
});
