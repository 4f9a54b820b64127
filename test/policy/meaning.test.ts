import { describe, expect, it } from '@jest/globals';
import { retryAfterMs } from '../../src/core/policy/backoff.js';
import { meaningOf, type FailedCall, type FailureKind, type Meaning } from '../../src/core/policy/meaning.js';

const failed = (kind: FailureKind, status: number | null, more: Partial<FailedCall> = {}): FailedCall => ({
  ...{ kind, operation: 'cancelSession', status, code: null, sent: status !== null },
  ...more,
});

describe('what a failed call means for its session', () => {
  it.each<[string, FailedCall, boolean | null, Meaning]>([
    ['a 429', failed('rate-limited', 429), true, { kind: 'too-many', asked: true }],
    ['what a 429 held back', failed('rate-limited', null), true, { kind: 'too-many', asked: false }],
    ['a refused key', failed('unauthorized', 401), true, { kind: 'account' }],
    ['a 403 while the vendor does not say whose it is', failed('forbidden', 403), null, { kind: 'unclear' }],
    ['a 403 of this session', failed('forbidden', 403), false, { kind: 'refused', lasts: true }],
    ['a 401 while the key works', failed('unauthorized', 401), false, { kind: 'refused', lasts: false }],
    ['an answer of a proxy', failed('refused-for-now', 403), false, { kind: 'refused', lasts: false }],
    ['a 400 to a cancel request', failed('bad-request', 400), false, { kind: 'refused', lasts: true }],
    [
      'a 400 to a read',
      failed('bad-request', 400, { operation: 'retrieveSession' }),
      false,
      { kind: 'refused', lasts: false },
    ],
    ['a 403 to a list', failed('forbidden', 403, { operation: 'listSessions' }), false, { kind: 'failed' }],
    ['a 404', failed('not-found', 404), false, { kind: 'not-found' }],
    ['a 500', failed('failed-to-abort', 500), false, { kind: 'failed' }],
    ['no connection', failed('connection-failed', null), false, { kind: 'failed' }],
  ])('%s', (_, call, concernsAccount, meaning) => {
    expect(meaningOf(call, concernsAccount)).toEqual(meaning);
  });
});

describe('the wait after a failed call', () => {
  it.each([
    ['as long as the vendor asks', { retryAfterMs: 30_000 }, 30_000],
    ['a minute at most', { retryAfterMs: 3_600_000 }, 60_000],
    ['longer than it asks, after many failures', { retryAfterMs: 1 }, 16_000],
    ['the rest of a hold, and no longer', { kind: 'rate-limited', sent: false, retryAfterMs: 40 }, 40],
    ['as after any failure, where the 429 was its own', { kind: 'rate-limited', sent: true, retryAfterMs: 40 }, 16_000],
  ])('is %s', (_, call, waitMs) => {
    expect(retryAfterMs(call, 6, 60_000, 0.5)).toBe(waitMs);
  });
});
