import { describe, expect, it } from '@jest/globals';
import { asUtc, doubtfulRun } from '../../src/core/policy-file/clock-changes.js';

const from = Date.parse('2026-11-29T00:00:00Z');
const to = from + 2 * 365 * 24 * 60 * 60_000;

describe('a cron that fires in every hour', () => {
  it.each([
    ['*/30 * * * *', 'Europe/Berlin', '*/30 * * * *'],
    ['7 * * * *', 'Europe/Berlin', '7 * * * *'],
    ['* * * * *', 'America/New_York', '* * * * *'],
    ['5,35 0-23 */1 1-12 0-6', 'America/New_York', '5,35 0-23 */1 1-12 0-6'],
    ['15 * * * 1-7', 'Antarctica/Troll', '15 * * * 1-7'],
    // Half an hour from UTC, the year round or in both halves of it.
    ['*/30 * * * *', 'Asia/Kolkata', '*/30 * * * *'],
    ['7 * * * *', 'Asia/Kolkata', '37 * * * *'],
    ['0,10 * * * *', 'America/St_Johns', '30,40 * * * *'],
    ['*/20 * * * *', 'Asia/Kathmandu', '15,35,55 * * * *'],
    ['*/15 * * * *', 'Pacific/Chatham', '*/15 * * * *'],
    // Its clock is set by half an hour, which these minutes bear.
    ['*/30 * * * *', 'Australia/Lord_Howe', '*/30 * * * *'],
    ['10,40 * * * *', 'Australia/Lord_Howe', '10,40 * * * *'],
    ['3 * * * *', 'UTC', '3 * * * *'],
  ])('%s in %s is %s in UTC', (cron, timezone, inUtc) => {
    expect(asUtc({ cron, timezone })).toEqual({ cron: inUtc, timezone: 'UTC' });
  });

  it.each([
    ['0 3 * * *', 'Europe/Berlin'],
    ['*/30 1-23 * * *', 'Europe/Berlin'],
    ['0 */2 * * *', 'Europe/Berlin'],
    ['*/30 * * * 1-5', 'Europe/Berlin'],
    ['*/30 * 1-30 * *', 'Europe/Berlin'],
    ['*/30 * * 2-12 *', 'Europe/Berlin'],
    ['7 * * * *', 'Australia/Lord_Howe'],
  ])('%s in %s keeps its zone', (cron, timezone) => {
    expect(asUtc({ cron, timezone })).toBeNull();
  });
});

// What Temporal's scheduler (1.29.1) makes of each was computed with its own calendar.go.
describe('a run near a clock that is set back', () => {
  it.each([
    // Runs at 01:30 -04:00 and at 01:30 -05:00.
    ['30 1 7 11 *', 'America/New_York', '2027-11-07T01:30', true],
    ['*/30 1-5 * * *', 'America/New_York', '2027-11-07T01:00', true],
    ['0 1 * * 0', 'America/St_Johns', '2027-11-07T01:00', true],
    ['45 0 * * *', 'Atlantic/Azores', '2027-10-31T00:45', true],
    // Runs at 02:30 +01:00.
    ['30 2 * * *', 'Europe/Berlin', '2027-10-31T02:30', false],
    // Runs at 01:30 +02:00, and an hour later again.
    ['30 1 * * *', 'Europe/Berlin', '2027-10-31T01:30', false],
    ['0 */2 * * *', 'Europe/Berlin', '2027-10-31T02:00', false],
    ['*/30 * * * 0', 'Europe/London', '2027-10-31T00:00', false],
    ['30 23 * * *', 'Asia/Beirut', '2027-10-30T23:30', false],
    ['15 1 * * *', 'Australia/Lord_Howe', '2027-04-04T01:15', false],
    ['7 * * * *', 'Australia/Lord_Howe', '2027-04-04T01:07', false],
    ['30 0 * * *', 'Antarctica/Troll', '2027-10-31T00:30', false],
  ])('%s in %s: %s', (cron, timezone, local, runsTwice) => {
    expect(doubtfulRun({ cron, timezone }, from, to)).toMatchObject({ local, runsTwice });
  });

  it('is told with the times between which none is safe', () => {
    expect(doubtfulRun({ cron: '30 2 * * *', timezone: 'Europe/Berlin' }, from, to)).toEqual({
      local: '2027-10-31T02:30',
      back: { from: '2027-10-31T03:00', to: '2027-10-31T02:00' },
      between: { from: '2027-10-31T01:00', to: '2027-10-31T03:00' },
      runsTwice: false,
    });
  });

  it.each([
    ['0 3 * * *', 'Europe/Berlin'],
    ['59 0 * * *', 'Europe/Berlin'],
    ['0 2 * * *', 'America/New_York'],
    ['59 0 * * *', 'America/New_York'],
    ['30 2 * * 1-5', 'Europe/Berlin'],
    ['30 2 * 3 *', 'Europe/Berlin'],
    ['30 1 6 11 *', 'America/New_York'],
    ['30 2 * * *', 'UTC'],
    ['30 2 * * *', 'Asia/Kolkata'],
    ['59 0 * * *', 'Australia/Lord_Howe'],
    // In every hour: Temporal gets it in UTC.
    ['*/30 * * * *', 'Europe/Berlin'],
  ])('there is none for %s in %s', (cron, timezone) => {
    expect(doubtfulRun({ cron, timezone }, from, to)).toBeNull();
  });
});
