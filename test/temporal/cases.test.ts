import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { caseWorkflowId } from '../../src/core/contract.js';
import { createCases, type Cases } from '../../src/adapters/temporal/cases.js';
import type { sessionCancellation } from '../../workflows/session-cancellation.js';
import { attemptAfter, ScriptedActivities } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

const scripted = new ScriptedActivities();
let temporal: TestTemporal;
let cases: Cases;

beforeAll(async () => {
  temporal = await startTemporal({ activities: scripted.activities });
  cases = createCases(temporal.env.client, true);
}, OBTAIN_LIMIT_MS);

afterAll(() => temporal.stop());

it.each([
  ['terminated', (handle: WorkflowHandle): Promise<unknown> => handle.terminate('somebody thought so')],
  ['cancelled', (handle: WorkflowHandle): Promise<unknown> => handle.cancel()],
])('I2: a case that somebody %s in Temporal is started again for the same order', async (_title, end) => {
  const sessionId = `sess_${randomUUID()}`;
  const orderId = randomUUID();
  const handle: WorkflowHandle<typeof sessionCancellation> = temporal.env.client.workflow.getHandle(
    caseWorkflowId(sessionId),
  );
  // The first case waits for an hour, the second one finds its orders settled.
  scripted.play(sessionId, {
    cancelSession: (_input, time) => (time === 1 ? attemptAfter(3_600_000) : { next: 'done' }),
  });
  await cases.join(sessionId, orderId, 30_000);
  await until(() => scripted.times(sessionId, 'cancelSession') === 1);
  await end(handle);
  await until(async () => (await handle.describe()).status.name !== 'RUNNING');

  await cases.join(sessionId, orderId, 30_000);

  await until(async () => (await handle.describe()).status.name === 'COMPLETED');
  expect(scripted.times(sessionId, 'cancelSession')).toBe(2);
});
