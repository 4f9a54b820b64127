import { describe, expect, it } from '@jest/globals';
import { LINKED_ZONES } from '../../src/core/policy-file/linked-zones.js';
import { readTimeZone } from '../../src/core/policy-file/time-zone.js';

const problemOf = (reading: unknown) => {
  const { problem, suggestion } = reading as { problem: string; suggestion: string | null };
  return `${problem} | ${suggestion}`;
};

describe('time zones', () => {
  it.each([
    ['UTC'],
    ['Europe/Berlin'],
    ['America/Argentina/Buenos_Aires'],
    ['America/Buenos_Aires'],
    ['US/Eastern'],
    ['Etc/GMT+1'],
    ['Asia/Kolkata'],
    ['Asia/Calcutta'],
    ['Europe/Kyiv'],
    ['EST'],
    ['EST5EDT'],
    ['Zulu'],
  ])('%j is one', (zone) => {
    expect(readTimeZone(zone)).toEqual({ value: zone });
  });

  it('are all names that the IANA database lists, and each is known to Node', () => {
    const refused = [...Intl.supportedValuesOf('timeZone'), ...LINKED_ZONES].filter(
      (zone) => 'problem' in readTimeZone(zone),
    );
    expect(refused).toEqual([]);
  });

  it.each([
    ['europe/berlin', 'Europe/Berlin'],
    ['Berlin', 'Europe/Berlin'],
    ['new york', 'America/New_York'],
    ['Europe/Berln', 'Europe/Berlin'],
    ['utc', 'UTC'],
    // Node ignores case, also in a name that it does not list. Temporal looks a name up exactly.
    ['Us/Eastern', 'US/Eastern'],
    ['us/eastern', 'US/Eastern'],
    ['EUROPE/KYIV', 'Europe/Kyiv'],
  ])('%j is refused, and %j suggested', (zone, meant) => {
    expect(problemOf(readTimeZone(zone))).toContain(`Did you mean ${meant}?`);
  });

  it.each([
    ['PST', 'America/Los_Angeles'],
    ['pst', 'America/Los_Angeles'],
    ['IST', 'Asia/Kolkata or Europe/Dublin or Asia/Jerusalem'],
    ['CST', 'America/Chicago or Asia/Shanghai'],
    ['BST', 'Europe/London or Asia/Dhaka'],
    ['JST', 'Asia/Tokyo'],
    ['NST', 'America/St_Johns or Pacific/Auckland'],
    ['EDT', 'America/New_York'],
    ['CEST', 'Europe/Berlin or Europe/Paris'],
    ['SystemV/PST8', 'Etc/GMT+8'],
    ['SystemV/PST8PDT', 'America/Los_Angeles'],
    ['US/Pacific-New', 'America/Los_Angeles'],
    ['Canada/East-Saskatchewan', 'America/Regina'],
    ['CTT', 'Asia/Shanghai'],
    ['VST', 'Asia/Ho_Chi_Minh'],
    ['AGT', 'America/Argentina/Buenos_Aires'],
  ])('%j, which ICU or people use and Temporal does not know, is refused, and %s suggested', (zone, meant) => {
    expect(problemOf(readTimeZone(zone))).toContain(`Did you mean ${meant}?`);
  });

  it('of ICU alone are all refused, and what is suggested is one', () => {
    // Its list of names of its own: icuzones in CLDR's sources.
    const names = [
      ...['ACT', 'AET', 'AGT', 'ART', 'AST', 'BET', 'BST', 'CAT', 'CNT', 'CST', 'CTT', 'EAT', 'ECT', 'IET', 'IST'],
      ...['JST', 'MIT', 'NET', 'NST', 'PLT', 'PNT', 'PRT', 'PST', 'SST', 'VST', 'US/Pacific-New'],
      ...['AST4', 'AST4ADT', 'EST5', 'EST5EDT', 'CST6', 'CST6CDT', 'MST7', 'MST7MDT', 'PST8', 'PST8PDT'].map(
        (name) => `SystemV/${name}`,
      ),
      ...['SystemV/YST9', 'SystemV/YST9YDT', 'SystemV/HST10'],
    ];
    for (const name of names) {
      const [, meant = ''] = /Did you mean (\S+?)(?: or .+)?\?$/.exec(problemOf(readTimeZone(name))) ?? [];
      expect({ name, meant, reading: readTimeZone(meant) }).toEqual({ name, meant, reading: { value: meant } });
    }
  });

  it.each([['+02:00'], ['Mars/Olympus_Mons'], [''], ['Local'], ['Factory'], [2]])('%j is refused', (zone) => {
    expect(problemOf(readTimeZone(zone))).toMatch(/is not a time zone/);
  });
});
