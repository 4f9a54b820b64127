import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { temporalFigures } from '../../bench/temporal-actions.js';
import type { Violation } from '../../bench/judge.js';
import { caseWorkflowId, SESSION_CANCELLATION } from '../../src/core/contract.js';
import { until } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { startEnvironment, type TestEnvironment } from '../support/temporal-environment.js';

let temporal: TestEnvironment;
beforeAll(async () => {
  temporal = await startEnvironment();
}, OBTAIN_LIMIT_MS);
afterAll(() => temporal?.stop());

const now = Date.now();
const violation = (sessionId: string): Violation => ({
  ...{ sessionId, kind: 'over-runtime' },
  ...{ deadlineAt: now, askedAt: now + 100 },
});
const windows = {
  steady: { fromMs: now - 20_000, toMs: now - 10_000 },
  violations: { fromMs: now - 10_000, toMs: now },
  liveSessions: 10,
};
const figures = (...sessionIds: readonly string[]) =>
  temporalFigures(temporal.env.address, windows, sessionIds.map(violation));

it('has no stages and no actions where violators were asked without a workflow', async () => {
  expect(await figures('a', 'b')).toMatchObject({
    ...{ casesOpened: 0, casesStillOpen: 0, casesOnInnocents: 0 },
    ...{ perCase: null, actionsPerViolator: 0, lagByStageMs: null },
  });
});

it('counts the cases that were opened, takes no stage from one that sent nothing, and tells those on innocents', async () => {
  const { workflow } = temporal.env.client;
  for (const sessionId of ['a', 'x']) {
    await workflow.start(SESSION_CANCELLATION, {
      workflowId: caseWorkflowId(sessionId),
      taskQueue: 'nobody',
      args: [],
    });
  }
  await until(async () => (await workflow.count()).count === 2);
  expect(await figures('a', 'b')).toMatchObject({
    ...{ casesOpened: 1, casesStillOpen: 2, casesOnInnocents: 1 },
    // Both starts are actions.
    ...{ perCase: null, actionsPerViolator: 1, lagByStageMs: null },
  });
});
