import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AgentScan } from '../../src/adapters/ledger/facts.js';
import type { NewOrder } from '../../src/adapters/ledger/orders.js';
import { policy } from '../policy/observing.js';
import { BEGINNING, HOUR, MINUTE, openFleetHarness, SECOND, type FleetHarness } from '../support/scripted-fleet.js';

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
});

afterEach(() => harness.close());

const SESSION = 'session-1';
const at = (ms: number): number => BEGINNING + ms;
const rule = policy({ max_runtime: 10 * MINUTE });
const running = (state = 'processing', startedAt = at(-HOUR)) => ({
  state,
  messages: [{ id: 'm1', atMs: startedAt }],
});
const reasonFor = (limit: Record<string, unknown> | null) => ({
  ...{ text: null, policy: 'rule', policyVersion: 1, limit, observed: null },
});
const outcomes = async (): Promise<(string | null)[]> => (await harness.orders()).map(({ outcome }) => outcome);

describe('at the gate an order is judged by what is in force and seen now', () => {
  it('by the grace of the policy as it is now, where that has not begun when the order was given', async () => {
    harness.fleet.agent('agent-1');
    harness.fleet.session(SESSION, running());
    await harness.apply([rule]);
    await harness.process().run(5 * SECOND);
    await harness.apply([{ ...rule, graceMs: 2 * HOUR }]);
    const waits = await harness.carryOut(SESSION, ({ reason }) => reason === 'RuleUnknown');
    expect(waits.at(-1)?.message).toContain('grace');
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual([null]);
  });

  it('by the name that the agent has now', async () => {
    harness.fleet.agent('agent-1', { name: 'test-bot' });
    harness.fleet.session(SESSION, running());
    await harness.apply([
      { ...rule, match: { agents: ['prod-*'] } },
      { ...rule, name: 'all', mode: 'observe' },
    ]);
    const process = harness.process();
    await process.run(20 * SECOND);
    harness.fleet.agents.splice(0);
    harness.fleet.agent('agent-1', { name: 'prod-bot' });
    await process.run(3 * MINUTE);
    expect(await harness.orders()).toHaveLength(1);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['cancelled']);
  });

  it('I1: by the fresh read, also when a scan is newer than it', async () => {
    harness.fleet.agent('agent-1');
    harness.fleet.session(SESSION, running('queued'));
    await harness.apply([policy({ max_queue_time: 10 * MINUTE })]);
    await harness.process().run(5 * SECOND);
    harness.fleet.session(SESSION, running('processing'));
    const { scan_json: json } = await harness.db
      .selectFrom('agent_scans')
      .select('scan_json')
      .executeTakeFirstOrThrow();
    const scan: AgentScan = { ...(JSON.parse(json) as AgentScan), atMs: harness.clock.vendor() + 2 * SECOND };
    await harness.db
      .updateTable('agent_scans')
      .set({ scan_json: JSON.stringify(scan) })
      .execute();
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual(['no-longer-violating']);
  });

  it('by whom the policy is about now, also for what has started again', async () => {
    harness.fleet.agent('agent-1');
    harness.fleet.session(SESSION, running());
    await harness.apply([{ ...rule, mode: 'observe' }]);
    await harness.process().run(5 * SECOND);
    await harness.apply([{ ...rule, match: { agents: ['another'] }, onRestart: { action: 'cancel', max: 5 } }]);
    await harness.ledger.orders.create({
      ...{ sessionId: SESSION, source: 'policy', requestedBy: 'policy rule', evenIfExempt: false, turnKey: 'm1' },
      reason: reasonFor({ name: 'on_restart', value: 5, restart: 1 }),
    });
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual(['no-longer-violating']);
  });
});

describe('an order of a watch, at the gate', () => {
  const limits = {
    ...{ max_runtime: 10 * MINUTE, max_continuous_runtime: null, max_queue_time: null },
    ...{ max_credits: null, max_session_credits: null, max_tokens: null },
  };

  /** A watch that has ordered the end of the turn. */
  async function watched(): Promise<string> {
    harness.fleet.agent('agent-1');
    harness.fleet.session(SESSION, running());
    const change = await harness.ledger.watches.register({
      sessionId: SESSION,
      limits,
      reason: null,
      requestedBy: 'svc',
    });
    if (change.kind !== 'registered') throw new Error(change.kind);
    const order: NewOrder = {
      ...{ sessionId: SESSION, source: 'service', requestedBy: 'svc', evenIfExempt: false, turnKey: 'm1' },
      reason: { ...reasonFor(null), policy: null, policyVersion: null },
      turnStartedAtMs: at(-HOUR),
    };
    const note = {
      phase: 'ending',
      note: '',
      facts: null,
      missingSinceMs: null,
      nextLookInMs: 5_000,
      ending: null,
    } as const;
    const watch = await harness.ledger.watches.noteLook(change.watch, { ...note, order });
    return watch?.orderId ?? '';
  }

  it('is sent while the watch stands behind it', async () => {
    await watched();
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['cancelled']);
  });

  it('ends nothing after a release that met it half sent, when nothing was sent after all', async () => {
    const orderId = await watched();
    await harness.db.updateTable('orders').set({ attempts: 1 }).where('id', '=', orderId).execute();
    const released = await harness.ledger.watches.release(SESSION, { by: 'svc', reason: null });
    expect(released).toMatchObject({ kind: 'released', order: 'already-sent' });
    await harness.db.updateTable('orders').set({ attempts: 0 }).where('id', '=', orderId).execute();
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual(['no-longer-violating']);
  });

  it('ends nothing when the limits give more room by now', async () => {
    const orderId = await watched();
    await harness.db
      .updateTable('watches')
      .set({ limits_json: JSON.stringify({ ...limits, max_runtime: 5 * HOUR }) })
      .execute();
    await harness.carryOut(SESSION);
    expect(orderId).not.toBe('');
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual(['no-longer-violating']);
  });
});
