import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { parse } from 'yaml';
import { LIMIT_NAMES } from '../../src/core/policy/policy.js';
import { PolicyFileError, policyJsonSchema } from '../../src/core/policy-file/index.js';
import { read } from './support.js';

const committed = new URL('../../examples/policies/policy.schema.json', import.meta.url);
const schema = policyJsonSchema();
const ajv = new Ajv({ allErrors: true });
addFormats.default(ajv);
const fitsSchema = ajv.compile(schema);

const valid = () =>
  parse(`
version: 1
policies:
  - name: a
    match: { all: [{ agents: ["x-*"] }, { not: { creators: [a@example.com] } }] }
    limits: { max_runtime: 45m, max_credits: 2k }
    caps: { max_cancels: 5, max_percent: 20, per: 1h }
    on_restart: { cancel: { max: 2 } }
cleanup:
  - name: b
    select: { states: [queued], queued_for: 6h }
    schedule: { cron: "0 3 * * *", timezone: UTC }
notify: { ops: { slack: { url_file: /run/secrets/slack } } }
exempt: [{ session: sess_1, until: 2026-12-01T00:00:00Z, reason: x }]
`) as Record<string, unknown>;

/** Every mapping in a value, with its path. */
function mappings(value: unknown, path = ''): [string, Record<string, unknown>][] {
  if (typeof value !== 'object' || value === null) return [];
  const below = Object.entries(value).flatMap(([key, part]) => mappings(part, `${path}.${key}`));
  return Array.isArray(value) ? below : [[path, value as Record<string, unknown>], ...below];
}

describe('the JSON Schema of policy files', () => {
  it('is committed as it is now (npx tsx scripts/policy-schema.ts writes it)', () => {
    expect(JSON.parse(readFileSync(committed, 'utf8'))).toEqual(schema);
  });

  it('describes every field, and gives examples of values', () => {
    const fields = mappings(schema).filter(([path]) => /\.properties\.\w+$/.test(path));
    expect(fields.length).toBeGreaterThan(40);
    for (const [path, field] of fields) {
      if ('$ref' in field || 'allOf' in field) continue;
      expect([path, field['description']]).toEqual([path, expect.stringMatching(/^[A-Zo].{5,}\.$|^`/)]);
    }
    const texts = fields.filter(
      ([, field]) => 'type' in field && ['string', 'integer'].includes(String(field['type'])),
    );
    for (const [path, field] of texts) expect([path, 'examples' in field || 'enum' in field]).toEqual([path, true]);
  });

  it('accepts what the reader accepts', () => {
    const mostly = (good: unknown[], bad: unknown[]) =>
      fc.oneof({ weight: 25, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: fc.constantFrom(...bad) });
    const duration = mostly(['45m', '1h30m', '1.5h', '2d', '365d'], ['0s', '45', '1.h', '1.5h30m', '400d', 45]);
    const amount = mostly([7, 0.5, '2M', '500k', '7', 1e12], ['2m', '0.0001k', 0, -1, 1e13]);
    const matchValue = fc.letrec((tie) => ({
      rule: fc.oneof(
        { maxDepth: 2 },
        fc.record({ agents: fc.array(mostly(['*', 'a', 'support-*'], ['', 5]), { minLength: 1, maxLength: 2 }) }),
        fc.record({ teams: fc.array(mostly(['a', 'b'], [' a']), { minLength: 1, maxLength: 2 }) }),
        fc.record({ not: tie('rule') }),
        fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 2 }) }),
      ),
    })).rule;
    const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, name.endsWith('time') ? duration : amount]));
    const policy = fc.record(
      {
        name: mostly(['a', 'b-2', 'x'.repeat(60)], ['No', 'x'.repeat(61)]),
        match: matchValue,
        limits: fc.record(limits, { requiredKeys: [] }),
        warn_at: mostly(['80%', '99.5%'], ['100%', 80]),
        grace: mostly(['0s', '2m'], [0]),
        mode: mostly(['off', 'observe', 'enforce'], ['on']),
        caps: fc.record(
          { max_cancels: mostly([1, 1e6], [0, 1.5]), max_percent: mostly([0.1, 100], [101]), per: duration },
          { requiredKeys: [] },
        ),
        on_restart: mostly(['report', { cancel: { max: 20 } }], [{ cancel: { max: 21 } }]),
      },
      { requiredKeys: ['name', 'match', 'limits'] },
    );
    let accepted = 0;
    fc.assert(
      fc.property(policy, (one) => {
        const file = { version: 1, policies: [one] };
        try {
          read(JSON.stringify(file));
        } catch (error) {
          if (error instanceof PolicyFileError) return;
          throw error;
        }
        accepted++;
        expect([fitsSchema(file), fitsSchema.errors]).toEqual([true, null]);
      }),
      { numRuns: 1_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  it('and the reader both refuse an unknown key in every mapping', () => {
    const count = mappings(valid()).length;
    expect(() => read(JSON.stringify(valid()))).not.toThrow();
    expect(fitsSchema(valid())).toBe(true);
    for (let index = 0; index < count; index++) {
      const file = valid();
      const [path, mapping] = mappings(file)[index] ?? ['', {}];
      mapping['unknown_key'] = 1;
      expect([path, fitsSchema(file)]).toEqual([path, false]);
      expect(() => read(JSON.stringify(file))).toThrow(
        path === '.notify' ? /name of a route/ : /(unknown_key|this key) is not known here/,
      );
    }
    expect(count).toBeGreaterThan(15);
  });

  it('and the reader both refuse what is missing, empty, or of the wrong kind', () => {
    const changes: ((file: Record<string, unknown>) => void)[] = [
      (file) => delete file['version'],
      (file) => (file['version'] = 2),
      (file) => (file['policies'] = {}),
      (file) => (file['policies'] = [{ name: 'a', match: { agents: [] }, limits: { max_runtime: '1h' } }]),
      (file) => (file['policies'] = [{ name: 'a', match: {}, limits: { max_runtime: '1h' } }]),
      (file) =>
        (file['policies'] = [{ name: 'a', match: { agents: ['*'], teams: ['a'] }, limits: { max_runtime: '1h' } }]),
      (file) => (file['policies'] = [{ name: 'a', match: { agents: ['*'] }, limits: {} }]),
      (file) => (file['policies'] = [{ name: 'a', match: { agents: ['*'] }, limits: { max_runtime: 45 } }]),
      (file) => (file['policies'] = [{ name: 'a', match: { agents: ['*'] }, limits: { max_credits: 0 } }]),
      (file) => (file['policies'] = [{ name: 'A b', match: { agents: ['*'] }, limits: { max_credits: 1 } }]),
      (file) => (file['notify'] = { 'Not A Name': { slack: { url_file: '/x' } } }),
      (file) => (file['notify'] = { ops: {} }),
    ];
    for (const change of changes) {
      const file = valid();
      change(file);
      expect(fitsSchema(file)).toBe(false);
      expect(() => read(JSON.stringify(file))).toThrow(PolicyFileError);
    }
  });
});
