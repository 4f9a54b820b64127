import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  formatDuration,
  readAmount,
  readDuration,
  readPercentNumber,
  readShare,
} from '../../src/core/policy-file/units.js';

const SECOND = 1_000;
const suggestionOf = (reading: unknown) => (reading as { suggestion: string | null }).suggestion;

describe('durations', () => {
  it.each([
    ['1s', 1_000],
    ['45m', 2_700_000],
    ['3h', 10_800_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['2d12h', 216_000_000],
    ['90m', 5_400_000],
    ['365d', 31_536_000_000],
  ])('%j is %d ms', (text, expected) => {
    expect(readDuration(text, SECOND)).toEqual({ value: expected });
  });

  it.each<[unknown, string | RegExp]>([
    [45, 'Did you mean 45m? Units are s, m, h and d.'],
    ['45', 'Did you mean 45m? Units are s, m, h and d.'],
    [1.5, 'Did you mean 1m30s? Units are s, m, h and d.'],
    [0, 'Did you mean 0s?'],
    ['45 min', 'Did you mean 45m?'],
    ['45M', 'Did you mean 45m?'],
    ['2 hours', 'Did you mean 2h?'],
    ['1.5h', 'Did you mean 1h30m?'],
    ['1h 30m', 'Did you mean 1h30m?'],
    ['30m1h', /larger unit first/],
    ['1h1h', /larger unit first/],
    ['', /larger unit first/],
    ['soon', /larger unit first/],
    ['3mo', /larger unit first/],
    [true, /larger unit first/],
    [['45m'], /larger unit first/],
    ['0s', 'Write 1s or more.'],
    ['0h0m', 'Write 1s or more.'],
    ['-5m', /for example 45m/],
    [-5, /for example 45m/],
    ['366d', 'Write 365d or less.'],
    ['9999999d', 'Write 365d or less.'],
  ])('%j is refused with a suggestion', (value, expected) => {
    const reading = readDuration(value, SECOND);
    expect(reading).toHaveProperty('problem');
    expect(suggestionOf(reading)).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected));
  });

  it('may be zero where zero makes sense', () => {
    expect(readDuration('0s', 0)).toEqual({ value: 0 });
  });

  it('come back as they were written by formatDuration', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 365 * 86_400 }), (seconds) => {
        expect(readDuration(formatDuration(seconds * SECOND), SECOND)).toEqual({ value: seconds * SECOND });
      }),
    );
  });

  it('are suggested only where the suggestion is accepted', () => {
    const near = fc.string({ unit: fc.constantFrom('1', '5', '.', ' ', 'h', 'm', 's', 'd', 'M', 'min'), maxLength: 5 });
    fc.assert(
      fc.property(near, (text) => {
        const reading = readDuration(text, SECOND);
        const [, meant] = ('problem' in reading ? /^Did you mean (\S+)\?/.exec(reading.suggestion ?? '') : null) ?? [];
        fc.pre(meant !== undefined && meant !== '0s');
        expect(readDuration(meant, 0)).toHaveProperty('value');
      }),
      { examples: [['5 11d'], ['15.5d'], ['511 d']], numRuns: 2_000 },
    );
  });
});

describe('amounts', () => {
  it.each<[unknown, number]>([
    [500, 500],
    [0.5, 0.5],
    ['500', 500],
    ['2k', 2_000],
    ['2M', 2_000_000],
    ['1.1M', 1_100_000],
    ['0.5k', 500],
  ])('%j is %d', (value, expected) => {
    expect(readAmount(value, false)).toEqual({ value: expected });
  });

  it.each<[unknown, string | RegExp]>([
    ['2m', 'Did you mean 2M?'],
    ['2K', 'Did you mean 2k?'],
    ['2 M', 'Did you mean 2M?'],
    ['1_000', 'Did you mean 1000?'],
    ['1,000', 'Did you mean 1000?'],
    ['500 credits', 'Did you mean 500?'],
    ['2G', /with k/],
    ['many', /with k/],
    [NaN, /with k/],
    [Infinity, /with k/],
    [true, /with k/],
    [{}, /with k/],
    [0, /Remove the line/],
    ['0', /Remove the line/],
    [-1, /Remove the line/],
    ['-1k', /Remove the line/],
    [2e12, /1000000M or less/],
    ['9999999999999M', /1000000M or less/],
  ])('%j is refused with a suggestion', (value, expected) => {
    const reading = readAmount(value, false);
    expect(reading).toHaveProperty('problem');
    expect(suggestionOf(reading)).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected));
  });

  it('of tokens are whole', () => {
    expect(readAmount('1.5k', true)).toEqual({ value: 1_500 });
    expect(readAmount(0.5, true)).toHaveProperty('problem');
    expect(readAmount('0.0001k', true)).toHaveProperty('problem');
  });
});

describe('percentages', () => {
  it('of a limit are written with their sign', () => {
    expect(readShare('80%')).toEqual({ value: 0.8 });
    expect(readShare('99.9%')).toEqual({ value: 0.999 });
  });

  it.each<[unknown, string]>([
    [80, 'Did you mean 80%?'],
    [0.8, 'Did you mean 80%?'],
    [0.07, 'Did you mean 7%?'],
    ['80', 'Did you mean 80%?'],
    ['80 %', 'Did you mean 80%?'],
    ['most', 'Write it as 80%.'],
    [true, 'Write it as 80%.'],
    [[80], 'Write it as 80%.'],
    ['', 'Write it as 80%.'],
    [800, 'Write it as 80%.'],
    ['0%', 'Write for example 80%, or remove the line.'],
    ['100%', 'Write for example 80%, or remove the line.'],
    ['120%', 'Write for example 80%, or remove the line.'],
  ])('of a limit: %j is refused', (value, suggestion) => {
    expect(suggestionOf(readShare(value))).toBe(suggestion);
  });

  it('of live sessions are numbers over 0 and at most 100', () => {
    expect(readPercentNumber(100)).toEqual({ value: 100 });
    expect(readPercentNumber(0.5)).toEqual({ value: 0.5 });
    for (const value of [0, -1, 100.1, NaN, '101%', null]) expect(readPercentNumber(value)).toHaveProperty('problem');
    expect(suggestionOf(readPercentNumber('25%'))).toBe('Did you mean 25?');
  });
});
