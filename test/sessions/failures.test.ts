import { afterEach, describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { createCredentials, FAILURES, SessionsError, type SessionsErrorKind } from '../../src/adapters/vendor/index.js';
import { failureOf, KEY, Started } from './support.js';

const started = new Started();
afterEach(() => started.stop());

const nested = (code: string, message = 'Said the vendor') => ({
  error: { code, type: 'api_error', message, param: null },
});
const flat = (code: string) => ({ error: code, message: 'Said the vendor', metadata: { minimum_tier: 'pro' } });

describe('errors that the server answers', () => {
  interface Row {
    readonly status: number;
    readonly body: unknown;
    readonly kind: SessionsErrorKind;
    readonly code: string | null;
    readonly retryable: boolean;
    readonly unknown: boolean;
    readonly accountWide: boolean;
  }
  const row = (status: number, body: unknown, kind: SessionsErrorKind, code: string | null, flags: string): Row => ({
    status,
    body,
    kind,
    code,
    retryable: flags.includes('retryable'),
    unknown: flags.includes('unknown'),
    accountWide: flags.includes('account-wide'),
  });

  const rows: Row[] = [
    row(400, nested('invalid_cursor'), 'bad-request', 'invalid_cursor', ''),
    row(401, flat('invalid_token'), 'unauthorized', 'invalid_token', 'retryable account-wide'),
    row(401, {}, 'unauthorized', null, 'retryable account-wide'),
    row(402, {}, 'account-forbidden', null, 'retryable account-wide'),
    row(403, {}, 'refused-for-now', null, 'retryable'),
    row(403, null, 'refused-for-now', null, 'retryable'),
    row(403, 'Forbidden', 'refused-for-now', null, 'retryable'),
    row(403, { message: 'Forbidden' }, 'refused-for-now', null, 'retryable'),
    row(403, { code: 'x', detail: 'Forbidden' }, 'refused-for-now', 'x', 'retryable'),
    row(403, { error: { code: 403, status: 'PERMISSION_DENIED' } }, 'refused-for-now', null, 'retryable'),
    row(403, { error: { type: 'permission_error' } }, 'forbidden', 'permission_error', ''),
    row(403, nested('permission_error'), 'forbidden', 'permission_error', ''),
    row(403, flat('tier_required_pro'), 'account-forbidden', 'tier_required_pro', 'retryable account-wide'),
    row(
      403,
      nested('tier_required_enterprise'),
      'account-forbidden',
      'tier_required_enterprise',
      'retryable account-wide',
    ),
    row(
      403,
      { error: 'policy_denied', denied_keys: ['x'] },
      'account-forbidden',
      'policy_denied',
      'retryable account-wide',
    ),
    row(403, flat('feature_restricted'), 'account-forbidden', 'feature_restricted', 'retryable account-wide'),
    row(403, flat('not_policy_denied'), 'forbidden', 'not_policy_denied', ''),
    row(404, nested('not_found'), 'not-found', 'not_found', ''),
    row(408, {}, 'timeout', null, 'retryable unknown'),
    row(409, nested('interaction_not_in_terminal_state'), 'conflict', 'interaction_not_in_terminal_state', 'retryable'),
    row(410, {}, 'not-found', null, ''),
    row(418, {}, 'bad-request', null, ''),
    row(422, flat('invalid'), 'bad-request', 'invalid', ''),
    row(429, flat('gummie_rate_limit'), 'rate-limited', 'gummie_rate_limit', 'retryable account-wide'),
    row(500, nested('failed_to_abort'), 'failed-to-abort', 'failed_to_abort', 'retryable unknown'),
    row(500, flat('failed_to_abort'), 'failed-to-abort', 'failed_to_abort', 'retryable unknown'),
    row(500, nested('internal'), 'server-error', 'internal', 'retryable unknown'),
    row(502, null, 'server-error', null, 'retryable unknown'),
    row(503, [], 'server-error', null, 'retryable unknown'),
    row(504, 'text', 'server-error', null, 'retryable unknown'),
    row(302, {}, 'redirected', null, 'retryable'),
    row(304, {}, 'redirected', null, 'retryable'),
    row(200, [], 'unreadable', null, 'retryable unknown'),
    row(200, { session: null }, 'unreadable', null, 'retryable unknown'),
    row(200, { session: { state: 'failed' } }, 'unreadable', null, 'retryable unknown'),
    row(204, {}, 'unreadable', null, 'retryable unknown'),
  ];

  it.each(rows)('$status $body is $kind', async ({ status, body, kind, code, retryable, unknown, accountWide }) => {
    const { origin, seen } = await started.json(status, body);
    const client = started.client(origin);

    const ofCancel = await failureOf(client.cancelSession('sess_1'));
    expect(ofCancel).toBeInstanceOf(SessionsError);
    const common = { kind, status, code, retryable, accountWide, retryAfterMs: null, subject: 'sess_1', sent: true };
    expect(ofCancel).toMatchObject({ ...common, operation: 'cancelSession', outcomeUnknown: unknown });
    expect(ofCancel.message).toContain(`cancelSession of sess_1 got HTTP ${status}`);
    expect(ofCancel.message).toContain(`: it ${FAILURES[kind].says}`);

    const ofRead = await failureOf(client.retrieveSession('sess_1'));
    expect(ofRead).toMatchObject({ ...common, operation: 'retrieveSession', outcomeUnknown: false });
    // got would repeat a failed GET by itself; Temporal is the only one to retry.
    expect(seen).toHaveLength(2);
  });

  it.each<[unknown, string]>([
    [nested('c', 'Nested words'), 'Nested words'],
    [{ error: 'c', message: 'Flat words' }, 'Flat words'],
    [{ error: 'c', error_description: 'OAuth words' }, 'OAuth words'],
  ])('repeats the vendor message of %j', async (body, message) => {
    const { origin } = await started.json(409, body);
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error.message).toMatch(new RegExp(`got HTTP 409 c: .* \\(${message}\\)$`));
  });

  it('decides on the status when the body is no JSON', async () => {
    const { origin } = await started.http((_request, response) => {
      response.writeHead(503, { 'content-type': 'text/html' }).end('<html>Bad\ngateway</html>');
    });
    const error = await failureOf(started.client(origin).retrieveSession('sess_1'));
    expect(error).toMatchObject({ kind: 'server-error', status: 503, code: null });
    expect(error.message).not.toContain('html');
  });

  it.each(['text/html', 'application/json'])(
    'takes a 403 in %s that is no JSON for nobody’s last word',
    async (type) => {
      const { origin } = await started.http((_request, response) => {
        response.writeHead(403, { 'content-type': type }).end(`<html>${'Blocked. '.repeat(20_000)}</html>`);
      });
      const error = await failureOf(started.client(origin).cancelSession('sess_1'));
      expect(error).toMatchObject({ kind: 'refused-for-now', status: 403, code: null, outcomeUnknown: false });
    },
  );

  it.each<[number, unknown, SessionsErrorKind]>([
    [403, flat('permission_denied'), 'refused-for-now'],
    [403, flat('policy_denied'), 'refused-for-now'],
    [423, nested('locked'), 'refused-for-now'],
    [404, nested('not_found'), 'not-found'],
    [401, flat('invalid_token'), 'unauthorized'],
    [409, nested('conflict'), 'conflict'],
  ])('%i %j with Retry-After is %s', async (status, body, kind) => {
    for (const retryAfter of ['5', '0', 'soon']) {
      const { origin } = await started.json(status, body, { 'retry-after': retryAfter });
      expect(await failureOf(started.client(origin).cancelSession('sess_1'))).toMatchObject({ kind, status });
    }
  });

  it('makes one short line of what the vendor says', async () => {
    const { origin } = await started.json(500, nested('co\nde', `line 1\r\nline 2\u001b[31m\u2028${'x'.repeat(1000)}`));
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error.code).toBe('co de');
    const said = error.message.slice(error.message.indexOf('line 1'), -1);
    expect(said).toMatch(/^line 1 line 2\[31m x+…$/);
    expect(said).toHaveLength(200);
  });

  it.each<[Record<string, string>, number | null]>([
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': 'Thu, 23 Jul 2026 12:00:30 GMT', date: 'Thu, 23 Jul 2026 12:00:00 GMT' }, 30_000],
    [{ 'retry-after': '86400' }, 3_600_000],
    [{ 'retry-after': 'Thu, 23 Jul 1998 12:00:30 GMT', date: 'never' }, 0],
    [{ 'retry-after': 'later' }, null],
    [{}, null],
  ])('waits as the headers %j ask', async (headers, retryAfterMs) => {
    const { origin } = await started.json(429, flat('gummie_rate_limit'), headers);
    expect(await failureOf(started.client(origin).cancelSession('sess_1'))).toMatchObject({ retryAfterMs });
  });

  it('names only the host of a redirect, and does not go there', async () => {
    const elsewhere = await started.json(200, { session: { id: 'sess_1', state: 'failed' } });
    const { host } = new URL(elsewhere.origin);
    const { origin } = await started.json(307, {}, { location: `${elsewhere.origin}/secret-path?token=abc` });
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error).toMatchObject({ kind: 'redirected', status: 307, outcomeUnknown: false });
    expect(error.message).toMatch(new RegExp(`got HTTP 307: .*GUMLOOP_BASE_URL \\(to the host ${host}`));
    expect(error.message).not.toMatch(/secret-path|abc/);
    expect(elsewhere.seen).toEqual([]);
  });
});

describe('an error made without an exchange', () => {
  it.each(Object.keys(FAILURES) as SessionsErrorKind[])('of kind %s has the flags of the table', (kind) => {
    const { retryable, mayHaveActed, accountWide } = FAILURES[kind];
    const error = new SessionsError(kind, { operation: 'cancelSession' });
    expect(error).toMatchObject({ retryable, accountWide, outcomeUnknown: mayHaveActed, sent: mayHaveActed });
    expect(new SessionsError(kind, { operation: 'listQueue' }).outcomeUnknown).toBe(false);
  });
});

describe('secrets', () => {
  /** One way into each kind of failure, with a server that repeats the key wherever it can. */
  const scenarios: Record<SessionsErrorKind, () => Promise<SessionsError>> = {
    unauthorized: () => answered(401),
    forbidden: () => answered(403),
    'refused-for-now': () => cancelAgainst(() => started.json(403, { message: KEY }, { 'retry-after': KEY })),
    'account-forbidden': () => answered(402),
    'not-found': () => cancelAgainst(() => started.json(404, {}), undefined, KEY),
    conflict: () => answered(409),
    'rate-limited': () => answered(429),
    'server-error': () => answered(500),
    'bad-request': () => cancelAgainst(() => started.json(200, {}), undefined, `${KEY}/..`),
    redirected: () => answered(302),
    'failed-to-abort': () => cancelAgainst(() => started.json(500, nested('failed_to_abort', `Bearer ${KEY} failed`))),
    unreadable: () => answered(200),
    timeout: () =>
      cancelAgainst(
        () => started.http(() => undefined),
        (origin) => started.client(origin, { timeouts: { cancelMs: 200 } }),
      ),
    'connection-lost': () => cancelAgainst(() => started.raw((socket) => socket.end(`NOT HTTP ${KEY}\r\n\r\n`))),
    'connection-failed': async () => {
      const { origin } = await started.json(200, {});
      await started.stop();
      return failureOf(started.client(origin).cancelSession('sess_1'));
    },
    'no-credential': async () => {
      const { origin } = await started.json(200, {});
      const credentials = createCredentials({ GUMLOOP_API_KEY: KEY });
      return failureOf(started.client(origin, { credentials }).cancelSession(KEY));
    },
    aborted: async () => {
      const { origin } = await started.json(200, {});
      const signal = AbortSignal.abort(new Error(KEY));
      return failureOf(started.client(origin).cancelSession('sess_1', { signal }));
    },
  };

  async function cancelAgainst(
    serve: () => Promise<{ origin: string }>,
    connect = (origin: string) => started.client(origin),
    sessionId = 'sess_1',
  ): Promise<SessionsError> {
    const { origin } = await serve();
    return failureOf(connect(origin).cancelSession(sessionId));
  }

  const answered = (status: number): Promise<SessionsError> =>
    cancelAgainst(() =>
      started.json(
        status,
        {
          error: {
            code: KEY,
            message: `x ${encodeURIComponent(KEY)} ${'y'.repeat(160)} ${KEY} ${KEY.slice(0, 5)}\u0000${KEY.slice(5)}`,
          },
        },
        { location: `https://${encodeURIComponent('k')}.example.com/?key=${KEY}`, 'x-echo': KEY },
      ),
    );

  it.each(Object.keys(scenarios) as SessionsErrorKind[])(
    'no trace of the key is in an error of kind %s',
    async (kind) => {
      const error = await scenarios[kind]();
      expect(error.kind).toBe(kind);
      expect(error.cause).toBeUndefined();

      const shown = [
        inspect(error, { depth: 20, showHidden: true, getters: true }),
        JSON.stringify(error),
        String(error),
        error.stack,
      ].join('\n');
      for (const form of [KEY, encodeURIComponent(KEY), KEY.slice(5)]) {
        expect(shown).not.toContain(form);
      }
      expect(shown.toLowerCase()).not.toMatch(/authorization|bearer gum|x-auth-key/);
    },
  );

  it('would be found by the test above: a plain got error does show the key', async () => {
    const { got } = await import('got');
    const error: unknown = await got('http://127.0.0.1:9', {
      headers: { authorization: KEY },
      retry: { limit: 0 },
    }).catch((caught: unknown) => caught);
    expect(inspect(error, { depth: 20, showHidden: true })).toContain(KEY);
  });

  it('replaces the key where the server repeats it, and keeps the rest', async () => {
    const { origin } = await started.json(409, nested('conflict', `Your key ${KEY} is busy`));
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error.message).toContain('Your key [redacted] is busy');
  });

  it('leaves no piece of a key that stands where the message is cut', async () => {
    const { origin } = await started.json(409, nested('conflict', `${'x'.repeat(190)}${KEY}`));
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error.message).not.toContain(KEY.slice(0, 4));
  });

  it('shows no key when client or credentials are inspected', () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY: KEY, GUMLOOP_USER_ID: 'u' });
    const client = started.client('http://127.0.0.1:9', { credentials });
    expect(inspect([client, credentials], { depth: 20, showHidden: true })).not.toContain(KEY);
  });
});
