import { describe, expect, it } from '@jest/globals';
import { readAgeOf } from '../../src/cli/commands/cancel.js';
import { ExitCode, UserError } from '../../src/core/errors.js';

describe('--even-if-read-is-old', () => {
  it.each([
    ['2.001s', 2_001],
    ['10s', 10_000],
    ['0.5m', 30_000],
    ['60s', 60_000],
  ])('takes %s', (text, ms) => {
    expect(readAgeOf(text)).toBe(ms);
  });

  it('need not be given', () => {
    expect(readAgeOf(undefined)).toBeNull();
  });

  it.each([
    ['2s', 'too short'],
    ['0s', 'is zero'],
    ['61s', 'too long'],
    ['24h', 'too long'],
    ['10', 'which has no unit'],
    ['-5s', 'is negative: "-5s"'],
    ['soon', 'not a valid duration'],
    ['', 'not a valid duration'],
  ])('refuses %j, and orders nothing: %s', (text, why) => {
    const refused = (): unknown => readAgeOf(text);
    expect(refused).toThrow(UserError);
    expect(refused).toThrow(new RegExp(`${why}. Nothing was ordered`));
    expect(refused).toThrow(expect.objectContaining({ exitCode: ExitCode.usage }));
  });
});
