import { describe, expect, it } from '@jest/globals';
import { checkBaseUrl } from '../../src/sessions/base-url.js';
import { isSessionId } from '../../src/sessions/index.js';
import { parseRetryAfter, parseTime } from '../../src/sessions/times.js';

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

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 6, 23, 12);

  it.each<[string | undefined, number | null]>([
    ['0', 0],
    ['2', 2000],
    ['1.5', 1500],
    ['3600', 3_600_000],
    ['999999', 3_600_000],
    ['Thu, 23 Jul 2026 12:00:30 GMT', 30_000],
    ['Thu, 23 Jul 2026 11:00:00 GMT', 0],
    ['Fri, 24 Jul 2026 12:00:00 GMT', 3_600_000],
    ['-5', null],
    ['soon', null],
    ['', null],
    [undefined, null],
  ])('reads %j as %j', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});

describe('isSessionId', () => {
  it.each(['a', 'sess_xYz789AbCd', '...', 'é', 'a.b', '%2e%2e', 'x'.repeat(200)])('accepts %j', (text) => {
    expect(isSessionId(text)).toBe(true);
  });

  it.each(['', '.', '..', 'a/b', ' a', 'a\tb', 'a\u007f', 'a\u2028b', '\ud800', 'x'.repeat(201)])(
    'refuses %j',
    (text) => {
      expect(isSessionId(text)).toBe(false);
    },
  );
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
