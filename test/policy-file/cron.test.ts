import { describe, expect, it } from '@jest/globals';
import { cronValues, narrowsBothDays, readCron } from '../../src/core/policy-file/cron.js';

const problemOf = (reading: unknown) => {
  const { problem, suggestion } = reading as { problem: string; suggestion: string | null };
  return `${problem} | ${suggestion}`;
};

describe('cron expressions', () => {
  it.each([
    ['0 3 * * *'],
    ['*/15 * * * *'],
    ['0-30/10 8-18 * * 1-5'],
    ['0 3 * * MON-FRI'],
    ['0 3 1,15 jan,JUL *'],
    ['59 23 31 12 7'],
    ['0 0 29 2 *'],
    ['0 0 30 1-3 *'],
  ])('%j is one', (text) => {
    expect(readCron(text)).toEqual({ value: text });
  });

  it('lose superfluous white space', () => {
    expect(readCron('  0   3 * *  * ')).toEqual({ value: '0 3 * * *' });
  });

  it.each([
    ['0 3 * *', /4 fields.*Five are needed/],
    ['0 0 3 * * *', /6 fields/],
    ['tomorrow', /one field/],
    ['', /one field/],
    ['@daily', /"0 0 \* \* \*"/],
    ['60 3 * * *', /"60" for the minute.*0 to 59/],
    ['0 24 * * *', /"24" for the hour.*0 to 23/],
    ['0 3 0 * *', /"0" for the day of the month.*1 to 31/],
    ['0 3 32 * *', /"32" for the day of the month/],
    ['0 3 * 13 *', /"13" for the month.*1 to 12, or JAN to DEC/],
    ['0 3 * * 8', /"8" for the day of the week.*SUN to SAT/],
    ['0 3 * MON *', /"MON" for the month/],
    ['0 3 * * FRI-SUN', /runs backwards/],
    ['30-10 3 * * *', /runs backwards/],
    ['5/10 3 * * *', /5-59\/10/],
    ['*/0 3 * * *', /step is out of range/],
    ['*/60 3 * * *', /step is out of range/],
    ['1,,2 3 * * *', /"" for the minute/],
    ['*-5 3 * * *', /"\*-5"/],
    ['0 3 L * *', /"L"/],
    ['0 3 * * 1#2', /"1#2"/],
    ['0 0 30 2 *', /does not exist/],
    ['0 0 31 2,4,6,9,11 *', /does not exist/],
  ])('%j is refused', (text, expected) => {
    expect(problemOf(readCron(text))).toMatch(expected);
  });

  it('name their values, Sunday as 0', () => {
    expect(cronValues('*/20 8-10,23 31 JAN-FEB 5-7')).toEqual({
      minutes: new Set([0, 20, 40]),
      hours: new Set([8, 9, 10, 23]),
      days: new Set([31]),
      months: new Set([1, 2]),
      weekdays: new Set([5, 6, 0]),
    });
  });

  it('that narrow both day fields are told apart', () => {
    expect(narrowsBothDays('0 3 1 * MON')).toBe(true);
    expect(narrowsBothDays('0 3 1 * *')).toBe(false);
    expect(narrowsBothDays('0 3 * * 1')).toBe(false);
  });
});
