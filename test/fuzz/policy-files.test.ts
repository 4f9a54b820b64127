import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { FILE_BOUNDS } from '../../src/core/bounds.js';
import { PolicyFileError, readPolicyFile } from '../../src/core/policy-file/index.js';

/** Whatever stands in a policy file, it is read, or refused with problems that have a place. */

/** Two seconds are the aim; a busy machine is slow. Most take milliseconds. */
const SOON_MS = 10_000;
const NOW = Date.UTC(2026, 10, 22);

/** @returns whether it was read */
function check(text: string): boolean {
  const before = performance.now();
  try {
    readPolicyFile(text, 'curfew.yaml', NOW);
    return true;
  } catch (error) {
    if (!(error instanceof PolicyFileError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    expect(error.problems.length).toBeLessThanOrEqual(FILE_BOUNDS.policyFindings.most + 1);
    for (const { line, column, message } of error.problems) {
      expect(Number.isInteger(line) && line >= 1 && Number.isInteger(column) && column >= 1).toBe(true);
      expect(message.length).toBeLessThan(1_000);
    }
    expect(error.message.length).toBeLessThan(150_000);
    return false;
  } finally {
    expect(performance.now() - before).toBeLessThan(SOON_MS);
  }
}

const folder = fileURLToPath(new URL('../../examples/policies', import.meta.url));
const examples = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(join(folder, name), 'utf8'));

const signs = fc.constantFrom(
  ...['&a ', '*a', '!!binary ', '!!js/function x', '<<: *a', '? ', '- ', ': ', '{', '}', '[', ']', '"', "'", '|', '>'],
  ...['\t', '\r', '\n', '\0', '\ud800', '\u202e', '\ufeff', '\u2028', '---\n', '...\n', '%YAML 1.1\n', '#', '@', '`'],
  ...['.inf', '.nan', '0x1F', '1e999', '-1', '~', '99999999d', '*/0 * * * *', 'Europe/Berlim', '*'.repeat(300)],
  ...['__proto__', 'constructor', 'toString', '2026-02-30T00:00:00Z', '+999999-01-01T00:00:00Z'],
);

/** An example, cut and patched in some places. */
const patched = fc
  .tuple(
    fc.constantFrom(...examples),
    fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 12 }), signs), { maxLength: 4 }),
  )
  .map(([text, patches]) =>
    patches.reduce((before, [share, cut, sign]) => {
      const at = Math.floor(share * before.length);
      return before.slice(0, at) + sign + before.slice(at + cut);
    }, text),
  );

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  signs,
  fc.constantFrom<unknown>(NaN, Infinity, -0, 2 ** 53, new Date(0), 'x'.repeat(9_000), '*?'.repeat(200)),
  fc.constantFrom<unknown>('45m', '1d', '500', '2M', '50%', 'observe', 'enforce', '0 3 * * *', 'Europe/Berlin'),
);
const some = (usual: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: odd });
const record = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> =>
  some(fc.record(fields, { requiredKeys: [] }));
const names = some(fc.array(odd, { maxLength: 3 }));
const { match } = fc.letrec((tie) => ({
  match: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    record({ agents: names }),
    record({ creators: names, teams: names }),
    record({ all: fc.array(tie('match'), { maxLength: 3 }) }),
    record({ any: fc.array(tie('match'), { maxLength: 3 }) }),
    record({ not: tie('match') }),
  ),
}));
const limits = record({ max_runtime: odd, max_continuous_runtime: odd, max_credits: odd, max_tokens: odd });
const policy = record({
  ...{ name: some(fc.constantFrom('a', 'b', 'c')), match, limits, mode: odd, grace: odd, warn_at: names },
  ...{ notify: names, caps: record({ per: odd, max_cancels: odd, max_percent: odd }), __proto__x: odd },
});
const cleanup = record({
  ...{ name: odd, match, select: record({ states: names, queued_for: odd }), notify: names },
  schedule: record({ cron: odd, timezone: odd }),
});
const file = record({
  ...{ version: some(fc.constant(1)), policies: some(fc.array(policy, { maxLength: 4 })) },
  ...{
    cleanup: some(fc.array(cleanup, { maxLength: 2 })),
    exempt: some(fc.array(record({ session: odd, until: odd }))),
  },
  notify: some(fc.dictionary(fc.string(), record({ slack: record({ url_file: odd }), webhook: odd }), { maxKeys: 3 })),
});

describe('a policy file', () => {
  it('has examples that are read', () => {
    expect(examples.map(check)).toEqual(examples.map(() => true));
  });

  it('is read or refused with places, however an example is cut and patched', () => {
    fc.assert(
      fc.property(patched, (text) => void check(text)),
      { numRuns: 500, interruptAfterTimeLimit: 12_000 },
    );
  });

  it('is read or refused with places, whatever values stand in it', () => {
    fc.assert(
      fc.property(file, (value) => void check(stringify(value))),
      { numRuns: 400, interruptAfterTimeLimit: 12_000 },
    );
  });

  it('is read or refused with places, whatever text it is', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(signs, fc.string({ unit: 'binary', maxLength: 9 }))), (parts) => {
        check(parts.join(''));
      }),
      { numRuns: 800, interruptAfterTimeLimit: 12_000 },
    );
  });
});
