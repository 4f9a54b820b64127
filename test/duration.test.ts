import { describe, expect, it } from '@jest/globals';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { readCriteria } from '../src/cli/bulk-criteria.js';
import { readMoment } from '../src/cli/option-values.js';
import { formatDuration, parseDuration, readDuration } from '../src/core/duration.js';
import { UserError } from '../src/core/errors.js';
import { PolicyFileError } from '../src/core/policy-file/index.js';
import { readLimit } from '../src/engines/watch/request.js';
import { loadConfig } from '../src/platform/config.js';
import { fileWith, read } from './policy-file/support.js';

const YEAR_MS = 365 * 86_400_000;

const suggestionOf = (reading: unknown) => (reading as { suggestion: string | null }).suggestion;

describe('durations', () => {
  it.each([
    ['1s', 1_000],
    ['45m', 2_700_000],
    ['3h', 10_800_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['1.1h', 3_960_000],
    ['1h0.5m', 3_630_000],
    ['2.001s', 2_001],
    ['2d', 172_800_000],
    ['2d12h', 216_000_000],
    ['90m', 5_400_000],
    ['365d', 31_536_000_000],
  ])('%j is %d ms', (text, expected) => {
    expect(readDuration(text)).toEqual({ value: expected });
  });

  it.each<[unknown, string | RegExp]>([
    [45, 'Did you mean 45m? Units are s, m, h and d.'],
    ['45', 'Did you mean 45m? Units are s, m, h and d.'],
    [1.5, 'Did you mean 1.5m? Units are s, m, h and d.'],
    [0, 'Did you mean 0s?'],
    [999_999_999, 'Units are s, m, h and d.'],
    ['45 min', 'Did you mean 45m?'],
    ['45M', 'Did you mean 45m?'],
    ['2 hours', 'Did you mean 2h?'],
    ['1500ms', 'Did you mean 1.5s?'],
    ['1h 30m', 'Did you mean 1h30m?'],
    // Not a whole number of ms.
    ['1.000001m', 'Did you mean 1m?'],
    ['1.5h30m', /larger unit first/],
    ['30m1h', /larger unit first/],
    ['1h1h', /larger unit first/],
    ['1.h', /larger unit first/],
    ['1e3s', /larger unit first/],
    ['', /larger unit first/],
    ['soon', /larger unit first/],
    ['3mo', /larger unit first/],
    [true, /larger unit first/],
    [['45m'], /larger unit first/],
    ['0s', 'Write 1s or more.'],
    ['0h0m', 'Write 1s or more.'],
    ['0.999s', 'Write 1s or more.'],
    ['-5m', /for example 45m/],
    [-5, /for example 45m/],
    ['366d', 'Write 365d or less.'],
    ['9999999d', 'Write 365d or less.'],
  ])('%j is refused with a suggestion', (value, expected) => {
    const reading = readDuration(value);
    expect(reading).toHaveProperty('problem');
    expect(suggestionOf(reading)).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected));
  });

  it('may be zero where zero makes sense', () => {
    expect(readDuration('0s', { least: 0 })).toEqual({ value: 0 });
  });

  it('without a unit are taken for minutes only where minutes are accepted', () => {
    expect(suggestionOf(readDuration('10', { most: 60_000 }))).toMatch(/^Did you mean 10s\?/);
    expect(suggestionOf(readDuration('400', { least: 86_400_000, most: 2 * YEAR_MS }))).toMatch(/^Did you mean 400d\?/);
  });

  it('come back from formatDuration, to the ms', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: YEAR_MS }), (durationMs) => {
        expect(parseDuration(formatDuration(durationMs))).toBe(durationMs);
      }),
    );
  });

  it('have one form in which they are shown, whatever was written', () => {
    const part = fc.nat({ max: 500 });
    fc.assert(
      fc.property(part, part, part, part, fc.nat({ max: 9 }), (days, hours, minutes, seconds, tenths) => {
        const written = `${days}d${hours}h${minutes}m${seconds}.${tenths}s`;
        const canonical = formatDuration(parseDuration(written) ?? NaN);
        expect(formatDuration(parseDuration(canonical) ?? NaN)).toBe(canonical);
        expect(parseDuration(canonical)).toBe(parseDuration(written));
      }),
    );
  });

  it('are suggested only where the suggestion is accepted', () => {
    const near = fc.string({ unit: fc.constantFrom('1', '5', '.', ' ', 'h', 'm', 's', 'd', 'M', 'min'), maxLength: 5 });
    fc.assert(
      fc.property(near, (text) => {
        const reading = readDuration(text);
        const [, meant] = ('problem' in reading ? /^Did you mean (\S+)\?/.exec(reading.suggestion ?? '') : null) ?? [];
        fc.pre(meant !== undefined && meant !== '0s');
        expect(readDuration(meant)).toHaveProperty('value');
      }),
      { examples: [['5 11d'], ['15.5d'], ['511 d']], numRuns: 2_000 },
    );
  });
});

const NOW = Date.UTC(2026, 10, 22);

/** Every place where people write durations: what a text means there in ms, or what is said of it. */
const PLACES: Readonly<Record<string, (text: string) => number | null>> = {
  'a setting': (text) => loadConfig({ CURFEW_HOME: tmpdir(), CURFEW_SCAN_INTERVAL: text }, '/nowhere').scanMs,
  'an option': (text) => {
    const asked = readCriteria({ runningFor: text }, NOW);
    return 'selection' in asked ? asked.selection.runningForMs : null;
  },
  'a time back from now': (text) => NOW - readMoment(text, '--since', NOW),
  'a limit of a watch': (text) => {
    const limit = readLimit('maxRuntime', text);
    if ('value' in limit) return limit.value;
    throw new UserError(`${limit.problem}.`, limit.suggestion ?? '');
  },
  'a policy file': (text) =>
    read(fileWith({ limits: JSON.stringify({ max_runtime: text }) })).file.policies[0]?.limits.max_runtime ?? null,
};

describe.each(Object.entries(PLACES))('%s', (_place, meaning) => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000],
  ])('takes %s', (text, expected) => expect(meaning(text)).toBe(expected));

  it.each(['45', '1.5'])('refuses %j, which has no unit, and suggests minutes', (text) => {
    let refused: unknown;
    try {
      meaning(text);
    } catch (error) {
      refused = error;
    }
    const said =
      refused instanceof PolicyFileError
        ? refused.problems.map(({ message, suggestion }) => `${message}. ${suggestion}`).join()
        : refused instanceof UserError
          ? `${refused.message} ${refused.next}`
          : String(refused);
    expect(said).toContain(`is "${text}", which has no unit.`);
    expect(said).toContain(`Did you mean ${text}m? Units are s, m, h and d.`);
  });

  it.each(['1h1h', '30m1h', 'soon', '1 h', '1500ms', '1.0001s', 'h'])('refuses %j', (text) => {
    expect(() => meaning(text)).toThrow();
  });
});
