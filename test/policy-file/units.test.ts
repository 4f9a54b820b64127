import { describe, expect, it } from '@jest/globals';
import { readAmount, readPercentNumber, readShare } from '../../src/core/policy-file/units.js';

const suggestionOf = (reading: unknown) => (reading as { suggestion: string | null }).suggestion;

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
