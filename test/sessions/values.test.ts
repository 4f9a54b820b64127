import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { checkBaseUrl } from '../../src/adapters/vendor/base-url.js';
import { caseWorkflowId, watchWorkflowId } from '../../src/core/contract.js';
import { isSessionId } from '../../src/adapters/vendor/index.js';
import { parseHttpDate, parseRetryAfter, parseTime } from '../../src/platform/http-times.js';

describe('parseTime', () => {
  const noon = Date.UTC(2026, 6, 23, 12);

  it.each<[string, number]>([
    ['2026-07-23T12:00:00Z', noon],
    ['2026-07-23t12:00:00z', noon],
    ['2026-07-23T12:00Z', noon],
    ['2026-07-23T14:00:00+02:00', noon],
    ['2026-07-23T12:00:00.123456+00:00', noon + 123],
    ['2026-07-23T12:00:00.123456789Z', noon + 123],
    ['2026-07-23T12:00:00', noon],
    ['2026-07-23T12:00:00.5', noon + 500],
    ['2026-07-23 12:00:00+00:00', noon],
    [' 2026-07-23T12:00:00Z ', noon],
  ])('reads %j', (text, expected) => {
    expect(parseTime(text)).toBe(expected);
  });

  it.each([
    [null],
    [undefined],
    [''],
    ['yesterday'],
    ['2026-07-23'],
    ['12:30'],
    ['2026'],
    ['2026-W30-4'],
    ['2026-13-01T00:00:00Z'],
    ['2026-07-23T25:00:00Z'],
    ['2026-07-23T12:00:00Zulu'],
    [1784808000000],
    [NaN],
    [{}],
  ])('takes %j for unknown', (value) => {
    expect(parseTime(value)).toBeNull();
  });
});

describe('parseTime, whichever way it reads', () => {
  const luxonsValue = (text: string): number | null => {
    const time = DateTime.fromISO(text, { zone: 'utc' });
    return time.isValid ? time.toMillis() : null;
  };
  const digits = (value: number, length: number): string => String(value).padStart(length, '0');
  const number = (min: number, max: number, length = 2): fc.Arbitrary<string> =>
    fc.integer({ min, max }).map((value) => digits(value, length));
  const fraction = fc.oneof(
    fc.constant(''),
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }).map((list) => `.${list.join('')}`),
  );
  const zone = fc.oneof(
    fc.constantFrom('Z', 'z', '', '+00:00', '-00:00', '+0530', '-08', '+14:00', '+15:00', '+23:59', '-99:99'),
    fc.tuple(fc.constantFrom('+', '-'), number(0, 15), number(0, 61)).map(([sign, h, m]) => `${sign}${h}:${m}`),
  );

  it('agrees with luxon on every form of time, possible or not', () => {
    // Beyond every range by one: what does not exist must be refused, not moved to another day.
    const time = fc
      .tuple(number(0, 9999, 4), number(0, 13), number(0, 32), number(0, 25), number(0, 60), number(0, 60))
      .map(([year, month, day, hour, minute, second]) => `${year}-${month}-${day}T${hour}:${minute}:${second}`);
    const text = fc.tuple(time, fraction, zone).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (one) => expect(parseTime(one)).toBe(luxonsValue(one))),
      { numRuns: 3_000 },
    );
  });

  it('agrees with luxon on the ends of all months, in leap years and others', () => {
    for (const year of ['0000', '1900', '1970', '2000', '2023', '2024', '2100', '9999']) {
      for (let month = 1; month <= 12; month += 1) {
        for (let day = 27; day <= 32; day += 1) {
          const text = `${year}-${digits(month, 2)}-${day}T23:59:59.999Z`;
          expect([text, parseTime(text)]).toEqual([text, luxonsValue(text)]);
        }
      }
    }
  });

  it('agrees with luxon on every millisecond', () => {
    for (let ms = 0; ms < 1_000; ms += 1) {
      const text = `2026-07-23T12:00:00.${digits(ms, 3)}Z`;
      expect([text, parseTime(text)]).toEqual([text, luxonsValue(text)]);
    }
  });
});

describe('parseHttpDate', () => {
  it('reads the same and other dates in any order', () => {
    const one = 'Thu, 23 Jul 2026 12:00:00 GMT';
    const other = 'Thursday, 23-Jul-26 12:00:01 GMT';
    const expected = Date.UTC(2026, 6, 23, 12);
    const texts = [one, one, other, 'now', 'now', one, undefined, one, ''];
    const values = [expected, expected, expected + 1_000, null, null, expected, null, expected, null];
    expect(texts.map(parseHttpDate)).toEqual(values);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 6, 23, 12);

  it.each<[string | undefined, number | null]>([
    ['0', 0],
    ['2', 2000],
    ['1.5', 1500],
    // Whole ms, and never too early: the ledger stores no others.
    ['1.2345', 1235],
    ['3600', 3_600_000],
    ['999999', 3_600_000],
    ['Thu, 23 Jul 2026 12:00:30 GMT', 30_000],
    ['Thu, 23 Jul 2026 11:00:00 GMT', 0],
    ['Fri, 24 Jul 2026 12:00:00 GMT', 3_600_000],
    // No standard allows it: a moment since the Unix epoch.
    [String(Date.UTC(2026, 6, 23, 12, 0, 30) / 1_000), 30_000],
    [String(Date.UTC(2026, 6, 23, 12, 0, 30)), 30_000],
    [String(Date.UTC(2026, 6, 23, 11) / 1_000), 0],
    ['-5', null],
    ['soon', null],
    ['', null],
    [undefined, null],
  ])('reads %j as %j', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});

describe('isSessionId', () => {
  it.each(['a', 'sess_xYz789AbCd', '...', 'é', 'a.b', '%2e%2e', 'x'.repeat(200), 'é'.repeat(124)])(
    'accepts %j',
    (text) => {
      expect(isSessionId(text)).toBe(true);
    },
  );

  it.each(['', '.', '..', 'a/b', ' a', 'a\tb', 'a\u007f', 'a\u2028b', '\ud800', 'x'.repeat(201), 'é'.repeat(125)])(
    'refuses %j',
    (text) => {
      expect(isSessionId(text)).toBe(false);
    },
  );
});

describe('isSessionId and Temporal', () => {
  // 255 bytes on PostgreSQL; and 4 bytes are the most that one letter has.
  it.each(['x', 'é', '漢', '😀'])('let no id of %j make a workflow id that is too long', (letter) => {
    const ids = Array.from({ length: 300 }, (_, index) => letter.repeat(index + 1)).filter(isSessionId);
    const longest = Math.max(
      ...ids.flatMap((id) => [caseWorkflowId(id), watchWorkflowId(id)]).map((id) => Buffer.byteLength(id)),
    );
    expect(longest).toBeGreaterThan(200);
    expect(longest).toBeLessThanOrEqual(255);
  });
});

describe('checkBaseUrl', () => {
  it.each([
    ['https://api.gumloop.com/api/v1', 'https://api.gumloop.com/api/v1'],
    ['https://api.gumloop.com/api/v1//', 'https://api.gumloop.com/api/v1'],
    ['https://api.gumloop.com', 'https://api.gumloop.com'],
    ['http://localhost:8080/api/v1', 'http://localhost:8080/api/v1'],
    ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
    ['http://[::1]:8080/', 'http://[::1]:8080'],
  ])('accepts %s', (text, expected) => {
    expect(checkBaseUrl(text, false)).toBe(expected);
  });

  it.each([
    'api.gumloop.com',
    '',
    'ftp://api.gumloop.com',
    'https://me:hunter2@api.gumloop.com',
    'https://api.gumloop.com/?key=hunter2',
    'https://api.gumloop.com/#hunter2',
    'http://api.gumloop.com/api/v1',
    'http://127.0.0.1.example.com/',
    'http://10.0.0.1/',
  ])('refuses %j, without repeating it', (text) => {
    let message = '';
    try {
      checkBaseUrl(text, false);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^The base URL of the sessions API .+ Nothing was sent\.$/);
    expect(message).not.toContain('hunter2');
  });

  it('accepts plain http to another machine when told to', () => {
    expect(checkBaseUrl('http://simulator:8080/api/v1', true)).toBe('http://simulator:8080/api/v1');
  });
});
