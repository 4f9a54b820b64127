import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { systemClock } from '../../src/platform/clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { createCredentials, createSessionsClient, type OpenSessionsClient } from '../../src/adapters/vendor/index.js';
import { FORGOTTEN_AFTER_MS, noteEndedRuns, readEndedRuns } from '../../src/adapters/ledger/ended-runs.js';
import { LOOK_AFTER_MS, lookAtTriggers } from '../../src/worker/keepers/triggers.js';
import { FREE_LIMITER } from '../support/free-limiter.js';

const AGENT = 'agent_1';
const TRIGGER = 'trg_nightly';
const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
const limiter = FREE_LIMITER;

let folder: string;
let simulator: Simulator;
let ledger: Ledger;
let sessions: OpenSessionsClient;
/** The ledger's clock goes on by so much. */
let laterMs: number;
let clocked: Pick<Ledger, 'meta' | 'now'>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-triggers-'));
  simulator = await startSimulator({ slots: 100 });
  simulator.world.addAgent({ id: AGENT, triggers: [{ id: TRIGGER }] });
  ledger = await openLedger(join(folder, 'ledger.db'));
  sessions = createSessionsClient({
    baseUrl: simulator.url,
    credentials: createCredentials({ GUMLOOP_API_KEY: simulator.apiKey, GUMLOOP_USER_ID: simulator.userId }),
    userAgent: 'curfew/test',
  });
  laterMs = 0;
  clocked = { meta: ledger.meta, now: async () => (await ledger.now()) + laterMs };
  for (const mock of Object.values(log)) mock.mockClear();
});
afterEach(async () => {
  sessions.close();
  await ledger.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const look = (): Promise<void> => lookAtTriggers({ ledger: clocked, sessions, limiter, log });
const lookLater = async (): Promise<void> => {
  laterMs += LOOK_AFTER_MS;
  await look();
};
const asked = (): number => simulator.world.requestCounts().requests.triggers;
async function events(): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const page of ledger.history.events({ kinds: ['trigger-switched-off'] })) found.push(...page);
  return found;
}
/** Ends a session as a case does: through the gate. */
async function end(sessionId: string, triggerId: string | null = TRIGGER): Promise<void> {
  const world = simulator.world;
  world.addSession({ agent: AGENT, id: sessionId, triggerId });
  const gate = createGate({
    ...{ sessions, ledger, limiter, log, clock: systemClock, vendorClock: createVendorClock(systemClock), worker: 'w' },
    onRunEnded: noteEndedRuns(clocked, log),
  });
  const orderId = await ledger.orders.create({
    ...{ sessionId, source: 'person', requestedBy: 'a test', evenIfExempt: false, turnKey: null },
    reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
  });
  const read = await gate.read(sessionId, 'look');
  const result = await gate.send({ sessionId, read, orderIds: [orderId], owner: 'a test' });
  expect(result.kind).toBe('answered');
}

describe('a trigger of which runs were ended', () => {
  it('that is found off is told once, however many workers look; and again when it was on in between', async () => {
    for (const id of ['sess_1', 'sess_2', 'sess_3']) await end(id);
    await look();
    expect(asked()).toBe(0);
    laterMs += LOOK_AFTER_MS;
    await Promise.all([look(), look()]);
    expect(await events()).toEqual([
      {
        ...{ sessionId: 'sess_3', orderId: null },
        event: {
          ...{ kind: 'trigger-switched-off', at: expect.any(String), agentId: AGENT, triggerId: TRIGGER },
          ...{ triggerType: 'schedule', maxFailures: 3, ended: 3, sessions: ['sess_1', 'sess_2', 'sess_3'] },
        },
      },
    ]);
    expect(asked()).toBe(1);
    expect(log.error).toHaveBeenCalledTimes(1);

    // A run that went on from before.
    await end('sess_4');
    await lookLater();
    expect({ events: (await events()).length, asked: asked() }).toEqual({ events: 1, asked: 2 });

    const [trigger] = simulator.world.agent(AGENT).triggers;
    if (trigger !== undefined) Object.assign(trigger, { enabled: true, failuresInRow: 0 });
    await end('sess_5');
    await lookLater();
    for (const id of ['sess_6', 'sess_7']) await end(id);
    await lookLater();
    expect(await events()).toHaveLength(2);
  });

  it('that is still on is not told, and is asked about once after the end, not at each round', async () => {
    for (const id of ['sess_1', 'sess_2']) await end(id);
    await lookLater();
    for (let round = 0; round < 5; round += 1) await lookLater();
    expect({ events: await events(), asked: asked() }).toEqual({ events: [], asked: 1 });
  });

  it('is not asked about more often, however many runs end', async () => {
    for (let count = 0; count < 8; count += 1) {
      await end(`sess_${count}`);
      laterMs += LOOK_AFTER_MS / 4;
      await look();
    }
    expect(asked()).toBe(2);
  });

  it('is not known where there is no such operation, or no right to it: no event, no failure, no other try', async () => {
    for (const [id, fault] of [
      ['sess_404', { fault: 'not-found', on: 'triggers' }],
      ['sess_403', { fault: 'forbidden-session', on: 'triggers' }],
    ] as const) {
      const before = asked();
      simulator.world.setFaults({ agentId: AGENT }, [fault]);
      await end(id);
      for (let round = 0; round < 3; round += 1) await lookLater();
      expect(asked() - before).toBe(1);
    }
    expect({ events: await events(), warned: log.warn.mock.calls }).toEqual({ events: [], warned: [] });
  });

  it('is looked at again when the vendor fails, and not for ever', async () => {
    for (const id of ['sess_1', 'sess_2', 'sess_3']) await end(id);
    simulator.world.addFaults('everywhere', [{ fault: 'server-error', on: 'triggers', times: 2 }]);
    for (let round = 0; round < 3; round += 1) await lookLater();
    expect({ events: (await events()).length, asked: asked() }).toEqual({ events: 1, asked: 3 });

    simulator.world.addFaults('everywhere', [{ fault: 'server-error', on: 'triggers', times: 'forever' }]);
    await end('sess_4');
    for (let round = 0; round < 100; round += 1) await lookLater();
    expect(asked()).toBeLessThan(3 + 65);
  });

  it('is forgotten after a week', async () => {
    await end('sess_1');
    await lookLater();
    laterMs += FORGOTTEN_AFTER_MS;
    await look();
    expect(await readEndedRuns(ledger)).toEqual([]);
  });
});

it('a session that no trigger started is not noted', async () => {
  await end('sess_1', null);
  expect(await readEndedRuns(ledger)).toEqual([]);
});

it('runs that end at the same time are all noted; another attempt at one is not another run', async () => {
  // Two workers, each with several at once.
  const [note, noteToo] = [noteEndedRuns(clocked, log), noteEndedRuns(clocked, log)];
  const run = (sessionId: string) => ({ sessionId, agentId: AGENT, triggerId: 'trg/odd 100%' });
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map((id, index) => (index % 2 === 0 ? note : noteToo)(run(id))));
  await note(run('a'));
  const [found] = await readEndedRuns(ledger);
  expect(found?.runs).toMatchObject({ agentId: AGENT, triggerId: 'trg/odd 100%' });
  expect(found?.runs.sessions.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

it('I2: a ledger that can’t be written now does not keep a session from being ended', async () => {
  const broken = { ...clocked.meta, swap: () => Promise.reject(new Error('away')) };
  await noteEndedRuns({ ...clocked, meta: broken }, log)({ sessionId: 'a', agentId: AGENT, triggerId: TRIGGER });
  expect(log.warn).toHaveBeenCalledTimes(1);
});
