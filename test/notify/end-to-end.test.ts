import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkflowNotFoundError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Webhook } from 'standardwebhooks';
import { createNotificationActivities } from '../../activities/notification.js';
import { caseWorkflowId, notificationWorkflowId } from '../../src/core/contract.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { createNotifier, type Notifier } from '../../src/engines/notify/deliver.js';
import { startNotifications } from '../../src/worker/keepers/notifications.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import type { Logger } from '../../src/platform/telemetry.js';
import { createCases } from '../../src/adapters/temporal/cases.js';
import { createNotifications, type Notifications } from '../../src/adapters/temporal/notifications.js';
import { ScriptedActivities } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { hooked, ledgerAway } from '../support/gate-harness.js';
import { startReceiver, type Received, type Receiver } from '../support/receiver.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';
import { VERDICT } from './items.js';
import { newSecret, putInForce } from './rules.js';

const TOKEN = 'T0SECRET/B0SECRET/xXsEcReTxX';
const scripted = new ScriptedActivities();
let temporal: TestTemporal;
/** The worker outlives the tests; each has a ledger of its own. */
let notifier: Notifier;

beforeAll(async () => {
  const timing = { ...DEFAULT_TIMING, heldRetryMs: 200 };
  const notification = createNotificationActivities({
    notifier: { deliverNext: (route, failures) => notifier.deliverNext(route, failures) },
    timing,
  });
  temporal = await startTemporal({ activities: { ...scripted.activities, ...notification } });
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await temporal.stop();
});

let folder: string;
let ledger: Ledger;
let receiver: Receiver;
let secret: string;
let route: string;
let logged: string;
let log: Logger;
/** Ends what a test started, last first. */
const endings: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-notify-'));
  receiver = await startReceiver();
  secret = newSecret();
  route = `ops-${randomUUID()}`;
  logged = '';
  log = pino({ level: 'debug' }, { write: (line: string) => void (logged += line) });
  writeFileSync(join(folder, 'hook'), secret);
  writeFileSync(join(folder, 'slack'), `${receiver.url}/services/${TOKEN}`);
  ledger = await openLedger(join(folder, 'ledger.db'));
  notifier = createNotifier(ledger, log);
});

afterEach(async () => {
  // A workflow that is left must not meet the next test's notifier.
  await workflow()
    .terminate()
    .catch(() => {});
  for (const end of endings.splice(0).reverse()) await end();
  await receiver.close();
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

const workflow = () => temporal.env.client.workflow.getHandle(notificationWorkflowId(route));
const isOver = async (): Promise<boolean> => (await workflow().describe()).status.name === 'COMPLETED';

/** Starts what runs beside the worker. */
function startLooking(
  on: Ledger = ledger,
  notifications: Notifications = createNotifications(temporal.env.client),
): void {
  const stopping = new AbortController();
  const looking = startNotifications(on, notifications, log, stopping.signal);
  endings.push(async () => {
    stopping.abort();
    await looking;
  });
}

const webhookInForce = () =>
  putInForce(ledger, { [route]: { webhook: { url: `${receiver.url}/hook`, secretFile: join(folder, 'hook') } } });
const slackInForce = () => putInForce(ledger, { [route]: { slack: { urlFile: join(folder, 'slack') } } });
const warn = (count = 1): Promise<void> =>
  ledger.recordEvents(
    Array.from({ length: count }, (_, index) => ({ kind: 'warned', sessionId: `sess_${index}`, data: VERDICT })),
  );
const verified = ({ body, headers }: Received): { type: string; data: { items: { id: string }[] } } =>
  new Webhook(secret).verify(body, headers as Record<string, string>) as never;
const idOf = ({ headers }: Received): unknown => headers['webhook-id'];

describe('telling people, through Temporal', () => {
  it('tells what happens, signed, once, and then is quiet', async () => {
    await webhookInForce();
    startLooking();
    await warn();
    await until(() => receiver.received.length > 0);
    expect(receiver.received.map(verified)).toMatchObject([{ type: 'curfew.session.warned' }]);
    await until(isOver);
    // Told again only by something new.
    await ledger.recordEvents([{ kind: 'account-refused', data: { status: 401 } }]);
    await until(() => receiver.received.length > 1);
    await until(isOver);
    expect(receiver.received.map((message) => verified(message).type)).toEqual([
      'curfew.session.warned',
      'curfew.account.refused',
    ]);
  });

  it('costs Temporal nothing while there is nothing to tell', async () => {
    await webhookInForce();
    let looks = 0;
    startLooking(
      hooked(ledger, {
        before: (call) => {
          if (call === 'deliveries.pending') looks += 1;
        },
      }),
    );
    await until(() => looks >= 3);
    await expect(workflow().describe()).rejects.toThrow(WorkflowNotFoundError);
  });

  it('makes few messages of a burst, and tells each item once', async () => {
    await webhookInForce();
    startLooking();
    await warn(60);
    await until(async () => receiver.received.length >= 3 && (await isOver()));
    const items = receiver.received.map((message) => verified(message).data.items.map(({ id }) => id));
    expect(items.map(({ length }) => length)).toEqual([20, 20, 20]);
    expect(new Set(items.flat()).size).toBe(60);
  });

  it('tries again when the receiver fails, with the same id, until it takes the message once', async () => {
    await webhookInForce();
    receiver.plan = [500, 500];
    startLooking();
    await warn();
    await until(async () => receiver.received.length >= 3 && (await isOver()));
    expect(new Set(receiver.received.map(idOf)).size).toBe(1);
    expect(receiver.received).toHaveLength(3);
  });

  it('waits as long as Retry-After asks', async () => {
    await webhookInForce();
    const times: number[] = [];
    receiver.plan = [
      (response) => {
        times.push(performance.now());
        response.writeHead(429, { 'retry-after': '4' }).end();
      },
      (response) => {
        times.push(performance.now());
        response.writeHead(204).end();
      },
    ];
    startLooking();
    await warn();
    await until(async () => times.length === 2 && (await isOver()));
    // Less than the 4 s asked for only by the coarseness of timers; more than the 2 s that a failure waits by itself.
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(3_500);
    expect(receiver.received).toHaveLength(2);
  });

  it('repeats with the same id what was taken and not noted before a crash', async () => {
    await webhookInForce();
    let crashes = 0;
    const dying = hooked(ledger, {
      before: (call) => {
        if (call !== 'deliveries.mark' || crashes > 0) return;
        crashes += 1;
        throw ledgerAway();
      },
    });
    notifier = createNotifier(dying, log);
    startLooking();
    await warn();
    await until(async () => receiver.received.length >= 2 && (await isOver()));
    const [first, repeat] = receiver.received;
    expect(first && repeat && [idOf(first), first.body]).toEqual(repeat && [idOf(repeat), repeat.body]);
    expect(receiver.received).toHaveLength(2);
  });

  it('goes on by itself when ledger and Temporal come back, and says each once', async () => {
    await webhookInForce();
    let away = true;
    let tries = 0;
    const notifications: Notifications = {
      start: (name) => {
        tries += 1;
        if (away) throw new Error('14 UNAVAILABLE');
        return createNotifications(temporal.env.client).start(name);
      },
    };
    startLooking(ledger, notifications);
    await warn();
    await until(() => tries >= 3);
    away = false;
    await until(() => receiver.received.length > 0);
    expect(logged.match(/could not look for what to notify/g)).toHaveLength(1);
    await until(() => logged.includes('works again: look for what to notify'));
    await until(isOver);
  });

  it('holds up no cancel: while a receiver hangs, cases open, go on and close', async () => {
    await webhookInForce();
    const hang = (): void => undefined;
    receiver.plan = Array.from({ length: 50 }, () => hang);
    startLooking();
    await warn();
    await until(() => receiver.received.length > 0);
    const cases = createCases(temporal.env.client, true);
    const sessions = Array.from({ length: 10 }, () => `sess_${randomUUID()}`);
    await Promise.all(sessions.map((sessionId) => cases.join(sessionId, randomUUID(), 30_000)));
    for (const sessionId of sessions) await temporal.env.client.workflow.getHandle(caseWorkflowId(sessionId)).result();
    expect((await workflow().describe()).status.name).toBe('RUNNING');
    expect(await ledger.deliveries.begun(route)).not.toBeNull();
  });

  it('leaves the address of Slack nowhere: not in history, ledger or log', async () => {
    await slackInForce();
    receiver.plan = [500, (response, { path }) => response.writeHead(503).end(path)];
    startLooking();
    await warn();
    await until(async () => receiver.received.length >= 3 && (await isOver()));
    expect(receiver.received[0]?.path).toContain(TOKEN);

    const history = await workflow().fetchHistory();
    const described = await workflow().describe();
    await ledger.meta.replace('flush', 'now');
    const files = readdirSync(folder).filter((name) => name.startsWith('ledger'));
    const traces = {
      history: textsIn(history) + textsIn(described.raw),
      log: logged,
      sdk: JSON.stringify(temporal.warnings, (_key, value: unknown) =>
        typeof value === 'bigint' ? `${value}` : value,
      ),
      ledger: files.map((name) => readFileSync(join(folder, name), 'latin1')).join(''),
    };
    const holding = (text: string): string[] =>
      Object.entries(traces)
        .filter(([, trace]) => trace.includes(text))
        .map(([name]) => name);
    for (const part of [...TOKEN.split('/'), receiver.url]) expect(holding(part)).toEqual([]);
    // What may be kept is found in these places: the search looks where things are.
    expect(holding(route)).toEqual(expect.arrayContaining(['history', 'log', 'ledger']));
  });
});

/** All texts in a structure, those in bytes included. */
function textsIn(value: unknown): string {
  if (typeof value === 'string') return `${value}\n`;
  if (value instanceof Uint8Array) return `${Buffer.from(value).toString('latin1')}\n`;
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([key, inner]) => key + textsIn(inner))
    .join('');
}
