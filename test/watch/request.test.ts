import { describe, expect, it } from '@jest/globals';
import { InvalidWatchError, readExtension, readRegistration, readRelease } from '../../src/engines/watch/request.js';

const sessionId = 'sess_1';

function problemOf(read: () => unknown): InvalidWatchError {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidWatchError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('a registration', () => {
  it('is read into the names and units of policies', () => {
    const limits = {
      maxRuntime: '1h30m',
      maxContinuousRuntime: '3h',
      maxQueueTime: '5m',
      maxCredits: 12.5,
      maxSessionCredits: '2k',
      maxTokens: '2M',
    };
    expect(readRegistration({ sessionId, limits, reason: 'import', requestedBy: 'me' })).toEqual({
      sessionId,
      limits: {
        max_runtime: 5_400_000,
        max_continuous_runtime: 10_800_000,
        max_queue_time: 300_000,
        max_credits: 12.5,
        max_session_credits: 2_000,
        max_tokens: 2_000_000,
      },
      reason: 'import',
      requestedBy: 'me',
    });
  });

  it('may leave out why and who', () => {
    expect(readRegistration({ sessionId, limits: { maxRuntime: '20m' } })).toMatchObject({
      reason: null,
      requestedBy: 'a service that gave no name',
    });
  });

  it.each([
    [{ sessionId, limits: { maxRuntim: '20m' } }, 'limits.maxRuntim', /not known. Did you mean maxRuntime\?/],
    [{ sessionId, limits: { max_runtime: '20m' } }, 'limits.max_runtime', /Did you mean maxRuntime\?/],
    [{ sessionId, limits: { maxRuntime: '20' } }, 'limits.maxRuntime', /has no unit. Did you mean 20m\?/],
    [{ sessionId, limits: { maxRuntime: '0s' } }, 'limits.maxRuntime', /is zero. Write 1s or more/],
    [{ sessionId, limits: { maxCredits: 0 } }, 'limits.maxCredits', /is 0, but must be more than 0/],
    [{ sessionId, limits: { maxCredits: -1 } }, 'limits.maxCredits', /more than 0/],
    [{ sessionId, limits: { maxCredits: NaN } }, 'limits.maxCredits', /not an amount/],
    [{ sessionId, limits: { maxTokens: 1.5 } }, 'limits.maxTokens', /whole number/],
    [{ sessionId, limits: { maxRuntime: null } }, 'limits.maxRuntime', /has no value/],
    [{ sessionId, limits: {} }, 'limits', /hold no limit. For example/],
    [{ sessionId, limits: '20m' }, 'limits', /must be a mapping/],
    [{ sessionId }, 'limits', /is missing/],
    [{ limits: { maxRuntime: '20m' } }, 'sessionId', /is missing/],
    [{ sessionId: '../x', limits: { maxRuntime: '20m' } }, 'sessionId', /be a session id/],
    [{ sessionId, limits: { maxRuntime: '20m' }, resaon: 'x' }, 'resaon', /Did you mean reason\?/],
    [{ sessionId, limits: { maxRuntime: '20m' }, reason: 'a\u0000b' }, 'reason', /control character/],
    [{ sessionId, limits: { maxRuntime: '20m' }, reason: 'x'.repeat(201) }, 'reason', /200 at most/],
    [{ sessionId, limits: { maxRuntime: '20m' }, requestedBy: 7 }, 'requestedBy', /must be a text/],
    ['sess_1', '', /must be a mapping/],
  ])('%j is refused, and the field is named', (request, field, message) => {
    const problem = problemOf(() => readRegistration(request));
    expect(problem.field).toBe(field);
    expect(problem.message).toMatch(message);
  });
});

describe('an extension', () => {
  it('may take limits away', () => {
    expect(readExtension(sessionId, { limits: { maxRuntime: '40m', maxCredits: null } }).limits).toEqual({
      max_runtime: 2_400_000,
      max_credits: null,
    });
  });

  it('must name a limit', () => {
    expect(problemOf(() => readExtension(sessionId, { limits: {} })).field).toBe('limits');
    expect(problemOf(() => readExtension(sessionId, { limits: { maxRuntime: 'soon' } })).field).toBe(
      'limits.maxRuntime',
    );
  });
});

describe('a release', () => {
  it('needs to say nothing', () => {
    expect(readRelease(undefined)).toEqual({ by: 'a service that gave no name', reason: null });
    expect(readRelease({ reason: 'done', requestedBy: 'me' })).toEqual({ by: 'me', reason: 'done' });
    expect(problemOf(() => readRelease({ why: 'done' })).field).toBe('why');
  });
});
