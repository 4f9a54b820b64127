import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { caseWorkflowId } from '../../src/core/contract.js';
import { createCases } from '../../src/adapters/temporal/cases.js';
import type { sessionCancellation } from '../../workflows/session-cancellation.js';
import { attemptAfter, DONE, ScriptedActivities } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { continuedAsNew } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

const scripted = new ScriptedActivities();
let temporal: TestTemporal;

beforeAll(async () => {
  temporal = await startTemporal({ activities: scripted.activities, suggestContinueAsNewAt: 40 });
}, OBTAIN_LIMIT_MS);
afterAll(async () => {
  await temporal.stop();
  expect(temporal.warnings.filter(({ message }) => message.includes('TMPRL'))).toEqual([]);
});

describe('a case that goes on for very long', () => {
  it('I8: continues as new when the server suggests it, and keeps since when it is at work, its memo and its search attributes', async () => {
    const sessionId = 'sess_long';
    const passes = 30;
    scripted.play(sessionId, { cancelSession: (_input, time) => (time < passes ? attemptAfter(0) : DONE) });
    const cases = createCases(temporal.env.client, true);
    await cases.join(sessionId, 'order_1', 30_000);
    const handle = temporal.env.client.workflow.getHandle<typeof sessionCancellation>(caseWorkflowId(sessionId));
    const first = await handle.describe();

    await handle.result();

    const last = await handle.describe();
    expect(last.runId).not.toBe(first.runId);
    expect(scripted.times(sessionId, 'cancelSession')).toBe(passes);
    // The report covers the whole case, not its last run.
    expect(scripted.calls(sessionId).at(-1)).toMatchObject({
      activity: 'reportCase',
      input: { sessionId, since: first.startTime.toISOString() },
    });
    expect(last.memo).toMatchObject({ sessionId, outcomes: ['cancelled'] });
    expect(last.searchAttributes).toMatchObject({ CurfewSessionId: [sessionId], CurfewPhase: ['settled'] });
    const history = await temporal.env.client.workflow.getHandle(caseWorkflowId(sessionId), first.runId).fetchHistory();
    expect(continuedAsNew(history)).toBe(true);
    expect(history.events?.length).toBeLessThan(80);
  });

  it('I2: loses no order that joins while it continues as new', async () => {
    const sessionId = 'sess_joined';
    const cases = createCases(temporal.env.client, true);
    // The ledger in small: an order is written first, then joins; a pass settles what is open when it begins.
    const open = new Set<string>();
    let ordered = 0;
    scripted.play(sessionId, {
      cancelSession: () => {
        open.clear();
        return ordered < 40 ? attemptAfter(0) : DONE;
      },
    });
    for (; ordered < 40; ordered += 1) {
      open.add(`order_${ordered}`);
      await cases.join(sessionId, `order_${ordered}`, 30_000);
    }
    await temporal.env.client.workflow.getHandle(caseWorkflowId(sessionId)).result();
    await until(() => open.size === 0);

    let runs = 0;
    const query = `WorkflowId = "${caseWorkflowId(sessionId)}"`;
    await until(async () => {
      runs = 0;
      for await (const run of temporal.env.client.workflow.list({ query }))
        runs += run.status.name === 'CONTINUED_AS_NEW' ? 1 : 0;
      return runs > 0;
    });
    expect(runs).toBeGreaterThan(0);
  });
});
