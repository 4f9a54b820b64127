import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { Webhook } from 'standardwebhooks';
import { createNotificationActivities } from '../../activities/notification.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { checkRoutes } from '../../src/engines/notify/check.js';
import { createNotifier, NotDelivered } from '../../src/engines/notify/deliver.js';
import { reachRoutes } from '../../src/engines/notify/reach.js';
import { readUndelivered } from '../../src/engines/notify/undelivered.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import { hooked, ledgerAway } from '../support/gate-harness.js';
import { startReceiver, type Behaviour, type Receiver } from '../support/receiver.js';
import { VERDICT } from './items.js';
import { newSecret, putInForce } from './rules.js';

/** Part of a Slack address that lets whoever has it write into the channel. */
const TOKEN = 'T0SECRET/B0SECRET/xXsEcReTxX';

let folder: string;
let ledger: Ledger;
let receiver: Receiver;
let secret: string;
let urlFile: string;
let secretFile: string;
const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-notify-'));
  receiver = await startReceiver();
  secret = newSecret();
  urlFile = join(folder, 'slack');
  secretFile = join(folder, 'hook');
  writeFileSync(urlFile, `${receiver.url}/services/${TOKEN}\n`);
  writeFileSync(secretFile, `${secret}\n`);
  ledger = await openLedger(join(folder, 'ledger.db'));
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const level of Object.values(log)) level.mockReset();
  await ledger.close();
  await receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

const slackRoute = () => ({ slack: { urlFile } });
const webhookRoute = () => ({ webhook: { url: `${receiver.url}/hook`, secretFile } });
const warn = (count = 1): Promise<void> =>
  ledger.recordEvents(
    Array.from({ length: count }, (_, index) => ({ kind: 'warned', sessionId: `sess_${index}`, data: VERDICT })),
  );
/** One try, as a worker that has just started makes it. */
const deliver = (route = 'ops', failures = 0, on: Ledger = ledger) =>
  createNotifier(on, log).deliverNext(route, failures);
const failureOf = async (work: Promise<unknown>): Promise<NotDelivered> => {
  const failure: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(failure).toBeInstanceOf(NotDelivered);
  return failure as NotDelivered;
};
const bodies = (): unknown[] => receiver.received.map(({ body }) => JSON.parse(body) as unknown);

describe('a delivery', () => {
  it('tells Slack, at the address in the file', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    expect(await deliver()).toEqual({ more: false });
    expect(receiver.received).toMatchObject([
      { path: `/services/${TOKEN}`, headers: { 'content-type': 'application/json' } },
    ]);
    expect(bodies()).toMatchObject([{ text: expect.stringContaining('Warning'), blocks: [{ type: 'section' }] }]);
    expect(await deliver()).toEqual({ more: false });
    expect(receiver.received).toHaveLength(1);
  });

  it('tells a webhook, signed as Standard Webhooks has it', async () => {
    await putInForce(ledger, { ops: webhookRoute() });
    await warn();
    await deliver();
    const [message] = receiver.received;
    const headers = message?.headers as Record<string, string>;
    expect(new Webhook(secret).verify(message?.body ?? '', headers)).toMatchObject({
      type: 'curfew.session.warned',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: {
        route: 'ops',
        items: [
          {
            id: 'event/2',
            type: 'curfew.session.warned',
            alert: false,
            sessionId: 'sess_0',
            agentName: 'support-bot',
            policy: 'no-all-nighters',
            policyVersion: 3,
            text: expect.stringContaining('limit 45m'),
            remedies: [{ purpose: 'Let it run on' }, { purpose: 'See why', command: 'curfew explain sess_0' }],
            order: null,
            details: VERDICT,
          },
        ],
      },
    });
    expect(() => new Webhook(newSecret()).verify(message?.body ?? '', headers)).toThrow('No matching signature');
  });

  it('says of a mixed message that it is one', async () => {
    await putInForce(ledger, { ops: webhookRoute() });
    await warn();
    await ledger.recordEvents([{ kind: 'account-refused', data: { status: 401 } }]);
    await deliver();
    expect(bodies()).toMatchObject([
      {
        type: 'curfew.batch',
        data: { items: [{ type: 'curfew.session.warned' }, { type: 'curfew.account.refused' }] },
      },
    ]);
  });

  it('puts a burst into few messages', async () => {
    await putInForce(ledger, { ops: webhookRoute() });
    await warn(60);
    expect([await deliver(), await deliver(), await deliver()]).toEqual([
      { more: true },
      { more: true },
      { more: false },
    ]);
    const ids = (bodies() as { data: { items: { id: string }[] } }[]).map(({ data }) => data.items.map(({ id }) => id));
    expect(ids.map(({ length }) => length)).toEqual([20, 20, 20]);
    expect(new Set(ids.flat()).size).toBe(60);
  });

  it('sums up a flood for Slack in one message', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn(150);
    expect(await deliver()).toEqual({ more: false });
    expect(bodies()).toMatchObject([{ text: 'Curfew: 150 notices' }]);
  });

  it('sends the same message with the same id after a crash between the message and its note', async () => {
    await putInForce(ledger, { ops: webhookRoute() });
    await warn();
    const crash = (call: string): void => {
      if (call === 'deliveries.mark') throw ledgerAway();
    };
    await expect(deliver('ops', 0, hooked(ledger, { before: crash }))).rejects.toThrow('ledger');
    // What comes meanwhile waits for the next message.
    await warn();
    expect(await deliver()).toEqual({ more: true });
    expect(await deliver()).toEqual({ more: false });
    const [first, repeat, next] = receiver.received;
    expect(repeat?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(repeat?.body).toBe(first?.body);
    expect(next?.headers['webhook-id']).not.toBe(first?.headers['webhook-id']);
    expect(receiver.received).toHaveLength(3);
  });

  it('tells a new route no old news, and a former one nothing', async () => {
    await ledger.recordEvents([{ kind: 'account-refused', data: { status: 401 } }]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await putInForce(ledger, { ops: slackRoute() });
    expect(await deliver()).toEqual({ more: false });
    await warn();
    await putInForce(ledger, { other: slackRoute() });
    expect(await deliver('ops')).toEqual({ more: false });
    expect(receiver.received).toEqual([]);
  });

  it('gives a message up after a day, and says so', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    receiver.plan = [500];
    await failureOf(deliver());
    const later = Date.now() + 24 * 3_600_000;
    jest.spyOn(Date, 'now').mockReturnValue(later);
    expect(await deliver()).toEqual({ more: false });
    expect(receiver.received).toHaveLength(1);
    expect(log.error).toHaveBeenCalledWith({ route: 'ops', items: 1 }, expect.stringContaining('gave up'));
  });
});

describe('a delivery that fails', () => {
  const cases: readonly (readonly [string, Receiver['plan'][number], number, number])[] = [
    ['500', 500, 0, 2_000],
    ['503 for the fourth time', 503, 3, 16_000],
    ['503 for the hundredth time', 503, 100, 300_000],
    ['429 without a time', 429, 0, 2_000],
    ['429 with Retry-After', (response) => response.writeHead(429, { 'retry-after': '7' }).end(), 5, 7_000],
    ['a redirect', (response) => response.writeHead(302, { location: '/elsewhere' }).end(), 0, 600_000],
    ['400', 400, 0, 600_000],
    ['404', 404, 0, 600_000],
    ['410', 410, 7, 600_000],
    ['a broken connection', (response) => response.destroy(), 0, 2_000],
  ];
  it.each(cases)('by %s waits as long as that takes, and then is told', async (_name, behaviour, failures, waitMs) => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    receiver.plan = [behaviour];
    expect((await failureOf(deliver('ops', failures))).afterMs).toBe(waitMs);
    expect(await ledger.deliveries.begun('ops')).not.toBeNull();
    await deliver();
    expect(receiver.received).toHaveLength(2);
    expect(receiver.received[1]?.body).toBe(receiver.received[0]?.body);
  });

  it('is one line in the log however often it fails, of a level that fits, and one when it works again', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    const notifier = createNotifier(ledger, log);
    receiver.plan = [503, 503, 404, 404];
    for (let failures = 0; failures < 4; failures += 1) await failureOf(notifier.deliverNext('ops', failures));
    await notifier.deliverNext('ops', 4);
    expect(log.warn.mock.calls.map(([, text]) => text)).toEqual(['notification route ops: the receiver answered 503']);
    expect(log.error.mock.calls.map(([, text]) => text)).toEqual(['notification route ops: the receiver answered 404']);
    expect(log.info).toHaveBeenCalledTimes(1);
  });

  it('reads the secret afresh each time, so that a new one counts at once', async () => {
    await putInForce(ledger, { ops: webhookRoute() });
    await warn();
    const notifier = createNotifier(ledger, log);
    const newer = newSecret();
    for (const [text, problem] of [
      ['', 'it is empty'],
      ['not-a-secret', 'does not hold whsec_'],
      ['whsec_c2hvcnQ=', 'its secret has 5 bytes, not 24 to 64'],
    ] as const) {
      writeFileSync(secretFile, text);
      const failure = await failureOf(notifier.deliverNext('ops', 0));
      expect(failure.message).toContain(problem);
      expect(failure.afterMs).toBe(60_000);
    }
    rmSync(secretFile);
    expect((await failureOf(notifier.deliverNext('ops', 0))).message).toContain('ENOENT');
    writeFileSync(secretFile, newer);
    await notifier.deliverNext('ops', 0);
    const [message] = receiver.received;
    new Webhook(newer).verify(message?.body ?? '', message?.headers as Record<string, string>);
    expect(receiver.received).toHaveLength(1);
  });

  it('waits at most ten seconds for an answer', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    receiver.plan = [() => undefined];
    expect((await failureOf(deliver())).message).toBe('notification route ops: no answer (ETIMEDOUT)');
  });

  it('is not held up by an answer without end', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    receiver.plan = [(response) => response.writeHead(200).write('x'.repeat(100_000))];
    expect(await deliver()).toEqual({ more: false });
  });
});

describe('the address of a Slack webhook', () => {
  const shown = (value: unknown): string => inspect(value, { depth: 20, showHidden: true });

  const plan =
    (...behaviours: Behaviour[]) =>
    (): void => {
      receiver.plan = behaviours;
    };
  const write = (text: string) => (): void => writeFileSync(urlFile, text);
  it.each([
    ['the receiver refuses', plan(403), '403', 'ok'],
    [
      'the receiver answers with it',
      plan((response, { path }) => response.writeHead(500, path.slice(1)).end(path)),
      '500',
      'ok',
    ],
    ['nobody listens', write(`http://127.0.0.1:1/services/${TOKEN}`), 'ECONNREFUSED', 'failed'],
    ['it is not an address', write(`hooks.slack.com/services/${TOKEN}`), 'is not an address', 'failed'],
    ['it uses http', write(`http://hooks.slack.com/services/${TOKEN}`), 'does not use https', 'failed'],
    ['it has a password', write(`https://${TOKEN.slice(0, 8)}:x@localhost/`), 'user name', 'failed'],
  ] as const)('is in no error, failure or log line when %s', async (_name, prepare, says, status) => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    prepare();
    const activity = createNotificationActivities({
      notifier: createNotifier(ledger, log),
      timing: DEFAULT_TIMING,
    }).deliverNotifications;
    const failure: unknown = await new MockActivityEnvironment()
      .run<[{ route: string }], unknown, typeof activity>(activity, { route: 'ops' })
      .catch((reason: unknown) => reason);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect((failure as ApplicationFailure).message).toContain(says);
    expect((failure as ApplicationFailure).nextRetryDelay).toBeGreaterThan(0);
    const checked = await checkRoutes(ledger, true);
    expect(checked).toMatchObject([{ route: 'ops', status }]);

    const calls = Object.values(log).map(({ mock }) => mock.calls);
    for (const trace of [failure, checked, calls]) {
      for (const part of TOKEN.split('/')) expect(shown(trace).toUpperCase()).not.toContain(part.toUpperCase());
      expect(shown(trace)).not.toContain(urlFile);
    }
  });
});

describe('the check of the routes', () => {
  it('reads the secrets, sends nothing, and says how to send a test', async () => {
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    expect(await checkRoutes(ledger, false)).toEqual(
      ['ops', 'audit'].map((route) => ({
        route,
        status: 'ok',
        says: 'Its secret can be read. `curfew doctor --notify` sends a test.',
      })),
    );
    expect(receiver.received).toEqual([]);
  });

  it('sends a test by each route when told to, and leaves the news alone', async () => {
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    await warn();
    expect(await checkRoutes(ledger, true)).toMatchObject([
      { route: 'ops', says: 'The Slack webhook took a test message.' },
      { route: 'audit', says: 'The webhook took a test message.' },
    ]);
    const hook = receiver.received.find(({ path }) => path === '/hook');
    expect(new Webhook(secret).verify(hook?.body ?? '', hook?.headers as Record<string, string>)).toMatchObject({
      type: 'curfew.test',
      data: { route: 'audit', items: [] },
    });
    const slack = receiver.received.find(({ path }) => path !== '/hook');
    expect(JSON.parse(slack?.body ?? '')).toMatchObject({ text: 'Curfew: test of the route ops' });
    await deliver('ops');
    expect(receiver.received).toHaveLength(3);
  });

  it('says what is wrong and what to do', async () => {
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    writeFileSync(secretFile, 'hunter2');
    receiver.plan = [410];
    const [ops, audit] = await checkRoutes(ledger, true);
    expect(ops).toMatchObject({ status: 'failed', says: 'The receiver answered 410 to the test message.' });
    expect(ops?.next).toContain('make a new one in Slack');
    expect(audit).toMatchObject({ status: 'failed', exitCode: 2 });
    expect(audit?.says).toBe("The file of secret_file can't be used: it does not hold whsec_ and a secret in base64.");
    expect(audit?.next).toContain('openssl rand -base64 32');
  });

  it('warns of news that waits in vain', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn(3);
    const later = Date.now() + 10 * 60_000;
    jest.spyOn(Date, 'now').mockReturnValue(later);
    expect(await checkRoutes(ledger, false)).toMatchObject([
      { status: 'warning', says: '3 notices wait, the oldest for 10 min.' },
    ]);
  });
});

describe('what waits for the routes', () => {
  const undelivered = async () => readUndelivered(ledger, await ledger.policies.inForce());

  it('is told with its number, its age and why the last message was not taken, until one is', async () => {
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    await warn(3);
    receiver.plan = [503];
    await failureOf(deliver());
    const [ops, audit] = await undelivered();
    expect(ops).toMatchObject({ route: 'ops', waiting: 3, trouble: { message: 'the receiver answered 503' } });
    expect(Date.now() - (ops?.oldestAtMs ?? 0)).toBeLessThan(60_000);
    expect(audit).toMatchObject({ route: 'audit', waiting: 3, trouble: null });
    await deliver();
    expect((await undelivered())[0]).toEqual({ route: 'ops', waiting: 0, oldestAtMs: null, trouble: null });
  });

  it('is read without a trace in the ledger', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    expect(await undelivered()).toMatchObject([{ waiting: 1 }]);
    expect(await ledger.deliveries.toldSince('ops')).toBeNull();
  });

  it('does not hide that a message was not taken when the reason can’t be written', async () => {
    await putInForce(ledger, { ops: slackRoute() });
    await warn();
    receiver.plan = [503];
    const before = (call: string): void => {
      if (call === 'deliveries.noteTrouble') throw ledgerAway();
    };
    const away = hooked(ledger, { before });
    expect((await failureOf(deliver('ops', 0, away))).message).toContain('answered 503');
    expect(await ledger.deliveries.trouble('ops')).toBeNull();
  });
});

describe('whether a route can be used', () => {
  it('is asked of its host, without a message and without the path that is a secret', async () => {
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    const heads: string[] = [];
    receiver.heads = (path) => heads.push(path);
    expect(await reachRoutes(ledger)).toEqual([
      { route: 'ops', problem: null },
      { route: 'audit', problem: null },
    ]);
    expect(heads).toEqual(['/', '/']);
    expect(receiver.received).toEqual([]);
  });

  it('is told with the reason, and holds no secret', async () => {
    writeFileSync(urlFile, `http://127.0.0.1:1/services/${TOKEN}\n`);
    writeFileSync(secretFile, 'too short');
    await putInForce(ledger, { ops: slackRoute(), audit: webhookRoute() });
    const [ops, audit] = await reachRoutes(ledger);
    expect(ops?.problem).toBe('nobody answers at its address (ECONNREFUSED)');
    expect(audit?.problem).toMatch(/^the file of secret_file can't be used: /);
  });
});
