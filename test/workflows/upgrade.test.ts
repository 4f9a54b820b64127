import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makePlan } from '../../src/engines/bulk/plan.js';
import { idsFromList } from '../../src/cli/ids.js';
import {
  BULK_RATE_UPDATE,
  bulkWorkflowId,
  CASE_QUERY,
  caseWorkflowId,
  ENFORCEMENT_WORKFLOW_ID,
  EXTEND_UPDATE,
  SESSION_WATCH,
  TASK_QUEUE,
  watchWorkflowId,
  type CaseStatus,
  type WatchExtension,
  type WatchInput,
} from '../../src/core/contract.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { createBulkJobs } from '../../src/adapters/temporal/bulk-jobs.js';
import { createCases } from '../../src/adapters/temporal/cases.js';
import { openDeployment, readBundle, savedBundles, type Deployment } from './deployment.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { makeLedgerBeforeHolders } from '../support/older-ledger.js';
import { allOrders, orderInLedgerOnly } from '../support/standing.js';
import { installQuietRuntime, OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { workflowBundle } from '../support/shared.js';

/** A hang limit. */
const STORY_LIMIT_MS = 5 * 60_000;
const BULK_TARGETS = 60;

/** What the SDK says of workflows that can't go on with their history, in any of the tests. */
const complaints: string[] = [];
let current: string;

beforeAll(async () => {
  installQuietRuntime(({ message }) => complaints.push(message));
  ({ code: current } = await workflowBundle());
  await temporalBinary();
}, OBTAIN_LIMIT_MS);

type Before = Parameters<typeof openDeployment>[1];

const open = new Set<Deployment>();
/** Those that tests have left open because their time was over. */
afterAll(() => Promise.all([...open].map((deployment) => deployment.close())), 120_000);

/** A test with a deployment of its own, so that several can wait side by side. */
const story = (tell: (deployment: Deployment) => Promise<void>, before?: Before) => async (): Promise<void> => {
  const deployment = await openDeployment(
    (config) => ({
      ...config,
      // One that is confirming stays so while workers change, and is through soon after.
      timing: { ...config.timing, confirmGapsMs: [2_000, 3_000, 5_000], restartGapsMs: [4_000, 4_000, 4_000, 4_000] },
    }),
    before,
  );
  open.add(deployment);
  try {
    await tell(deployment);
  } finally {
    open.delete(deployment);
    await deployment.close();
  }
};

const workflows = ({ temporal }: Deployment) => temporal.client.workflow;

async function order({ ledger, temporal }: Deployment, sessionId: string): Promise<void> {
  const orderId = await orderInLedgerOnly(ledger, sessionId);
  await createCases(temporal.client, true).join(sessionId, orderId, 30_000);
}

/** Puts a limit in force for the one agent that has rules. */
async function applyPolicy({ ledger }: Deployment, maxRuntime: string): Promise<void> {
  const sourceText = `version: 1
policies:
  - name: ruled
    match: { agents: ["agent_ruled"] }
    limits: { max_runtime: ${maxRuntime} }
    mode: enforce
`;
  const { file } = readPolicyFile(sourceText, 'curfew.yaml');
  await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText, by: 'a test' });
}

const phaseOf = async (deployment: Deployment, sessionId: string): Promise<string> =>
  (await workflows(deployment).getHandle(caseWorkflowId(sessionId)).query<CaseStatus>(CASE_QUERY)).phase;

const outcomeOf = async ({ ledger }: Deployment, sessionId: string): Promise<string | null | undefined> =>
  (await allOrders(ledger)).find(({ result }) => result.sessionId === sessionId)?.result.outcome;

async function planOf({ ledger }: Deployment, ids: readonly string[]): Promise<string> {
  const { job } = await makePlan(
    { ledger, fleet: null },
    {
      ...{ by: 'a test', source: 'person', cleanup: null, reason: 'a test', written: {} },
      selection: { kind: 'ids', given: idsFromList(ids) },
    },
  );
  return job.planId;
}

/** One of each kind of work, all of it in the middle. */
async function begin(
  deployment: Deployment,
): Promise<{ readonly planId: string; readonly finish: () => Promise<void> }> {
  const { ledger, temporal } = deployment;
  const { world } = deployment.simulator;
  for (const id of ['agent_hand', 'agent_bulk', 'agent_ruled']) world.addAgent({ id, name: id });
  const session = (id: string, more: object = {}): void =>
    void world.addSession({ agent: 'agent_hand', id, turnAge: '30m', runsFor: null, ...more });
  session('sess_attempting', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
  session('sess_confirming', { faults: [{ fault: 'accepted-without-effect', times: 'forever' }] });
  session('sess_ended');
  session('sess_watched', { turnAge: '10m' });
  session('sess_ruled_before', { agent: 'agent_ruled', turnAge: '2h' });
  session('sess_ruled_after', { agent: 'agent_ruled', turnAge: '40m' });
  const many = Array.from({ length: BULK_TARGETS }, (_, index) => `sess_bulk_${index}`);
  for (const id of many) session(id, { agent: 'agent_bulk' });

  await applyPolicy(deployment, '45m');
  await until(async () => (await outcomeOf(deployment, 'sess_ruled_before')) === 'cancelled');

  const watch: WatchInput = { sessionId: 'sess_watched', limits: { maxRuntime: '5h' } };
  await workflows(deployment).start(SESSION_WATCH, {
    ...{ workflowId: watchWorkflowId('sess_watched'), taskQueue: TASK_QUEUE, args: [watch] },
  });
  await until(async () => (await ledger.watches.get('sess_watched'))?.nextLookAtMs != null);

  const planId = await planOf(deployment, many);
  await ledger.bulk.apply(planId, { by: 'a test', rate: 2, canary: 0, fast: false, evenIfExempt: false });
  await createBulkJobs(temporal.client).ensure(planId);

  for (const id of ['sess_attempting', 'sess_ended', 'sess_confirming']) await order(deployment, id);
  await until(async () => (await phaseOf(deployment, 'sess_ended')) === 'watching-for-restart');
  await until(async () => (await phaseOf(deployment, 'sess_confirming')) === 'confirming');
  await until(() => world.truth('sess_attempting').cancels.length > 1);
  await until(() => world.truth('sess_bulk_3').cancels.length > 0);

  return {
    planId,
    async finish() {
      // As people and programs do: by updates of what runs, and by new rules.
      await workflows(deployment)
        .getHandle(bulkWorkflowId(planId))
        .executeUpdate(BULK_RATE_UPDATE, { args: [{ rate: 200 }] });
      const extension: WatchExtension = { limits: { maxRuntime: '9m' } };
      await workflows(deployment)
        .getHandle(watchWorkflowId('sess_watched'))
        .executeUpdate(EXTEND_UPDATE, { args: [extension] });
      await applyPolicy(deployment, '35m');
      for (const sessionId of ['sess_attempting', 'sess_confirming']) world.clearFaults({ sessionId });
      await until(async () => (await outcomeOf(deployment, 'sess_watched')) === 'cancelled');
      // After a rollback the workflow over the fleet may have to be started anew, for which workers look once a minute.
      await until(async () => (await outcomeOf(deployment, 'sess_ruled_after')) === 'cancelled', 150_000);
      await until(async () => (await allOrders(ledger)).every(({ result }) => result.outcome !== null), 90_000);
      await until(async () => (await ledger.bulk.get(planId))?.state === 'finished');
      await until(async () => (await ledger.watches.get('sess_watched'))?.state !== 'watching');
    },
  };
}

/** Everything ended once, by us, and no workflow met a history that it can't go on with. */
async function expectAllWell(deployment: Deployment, planId: string): Promise<void> {
  const { ledger, simulator } = deployment;
  const orders = (await allOrders(ledger)).map(({ result }) => result);
  const outcomes = Object.fromEntries(orders.map(({ sessionId, outcome }) => [sessionId, outcome]));
  expect(outcomes).toEqual({
    sess_attempting: 'cancelled',
    sess_confirming: 'cancelled',
    sess_ended: 'cancelled',
    sess_watched: 'cancelled',
    sess_ruled_before: 'cancelled',
    sess_ruled_after: 'cancelled',
  });
  expect((await ledger.bulk.get(planId))?.counts?.byStatus['cancelled']).toBe(BULK_TARGETS);
  const { cancels, sessions } = simulator.world.truth();
  expect(Object.values(sessions).filter(({ maxConcurrentCancels: most }) => most > 1)).toEqual([]);
  for (let index = 0; index < BULK_TARGETS; index += 1) {
    expect(cancels.filter(({ sessionId }) => sessionId === `sess_bulk_${index}`)).toHaveLength(1);
  }

  const closing = ['sess_attempting', 'sess_confirming', 'sess_ended', 'sess_watched'].map(caseWorkflowId);
  for (const id of [...closing, watchWorkflowId('sess_watched'), bulkWorkflowId(planId)]) {
    await until(async () => (await workflows(deployment).getHandle(id).describe()).status.name !== 'RUNNING');
    expect({ id, status: (await workflows(deployment).getHandle(id).describe()).status.name }).toEqual({
      id,
      status: 'COMPLETED',
    });
  }
  const histories = await deployment.histories();
  expect(histories.map(({ workflowId }) => workflowId)).toEqual(
    expect.arrayContaining([ENFORCEMENT_WORKFLOW_ID, watchWorkflowId('sess_watched'), bulkWorkflowId(planId)]),
  );
  await expectNoStuckWorkflow(deployment);
}

/** Whatever else went wrong: this is what the test is about, and most likely why. */
async function expectNoStuckWorkflow(deployment: Deployment): Promise<void> {
  const histories = await deployment.histories();
  const failures = histories.flatMap(({ workflowId, history }) =>
    (history.events ?? []).flatMap(({ workflowTaskFailedEventAttributes: failed }) =>
      failed == null ? [] : [`${workflowId}: ${failed.failure?.message}`],
    ),
  );
  expect(failures).toEqual([]);
  expect(complaints.filter((message) => /determinis|TMPRL1100/i.test(message))).toEqual([]);
}

describe.each(savedBundles())('the workflows of %s and those of this version', (file) => {
  const old = readBundle(file);

  it.concurrent(
    'upgrade: what an old worker began, one of this version ends',
    story(async (deployment) => {
      const before = await deployment.startWorker(old);
      const { planId, finish } = await begin(deployment);
      await before.stop();
      await deployment.startWorker(current);
      await finish().finally(() => expectNoStuckWorkflow(deployment));
      await expectAllWell(deployment, planId);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'rollback: what this version began, an old worker ends',
    story(async (deployment) => {
      const before = await deployment.startWorker(current);
      const { planId, finish } = await begin(deployment);
      await before.stop();
      await deployment.startWorker(old);
      await finish().finally(() => expectNoStuckWorkflow(deployment));
      await expectAllWell(deployment, planId);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'rolling: both work side by side, then the new one alone',
    story(async (deployment) => {
      const before = await deployment.startWorker(old);
      await deployment.startWorker(current);
      const { planId, finish } = await begin(deployment);
      await before.stop();
      await finish().finally(() => expectNoStuckWorkflow(deployment));
      await expectAllWell(deployment, planId);
    }),
    STORY_LIMIT_MS,
  );
});

/** Policy orders in a ledger of before orders had holders. The last of them is within its limit by now. */
const OLDER_ORDERS = ['sess_case_at_work', 'sess_case_not_begun', 'sess_case_lost', 'sess_within'];

async function olderLedger({ world }: Deployment['simulator'], { databaseUrl }: Deployment['config']): Promise<void> {
  world.addAgent({ id: 'agent_ruled', name: 'agent_ruled' });
  const orders = OLDER_ORDERS.map((id) => {
    const isWithin = id === 'sess_within';
    const atWork = id === 'sess_case_at_work';
    world.addSession({
      ...{ agent: 'agent_ruled', id, turnAge: isWithin ? '10m' : '2h', runsFor: null },
      faults: atWork ? [{ fault: 'failed-to-abort', times: 'forever' }] : [],
    });
    const [turn] = world.truth().sessions[id]?.turns ?? [];
    if (turn === undefined) throw new Error(`No turn of ${id}.`);
    const { turnKey, createdAt } = turn;
    return {
      id: `order-${id}`,
      sessionId: id,
      turnKey,
      turnStartedAtMs: createdAt,
      policy: 'ruled',
      limitMs: 45 * 60_000,
    };
  });
  await makeLedgerBeforeHolders(databaseUrl, orders);
}

describe.each(savedBundles())('a ledger of before orders had holders, and the workflows of %s', (file) => {
  const old = readBundle(file);

  it.concurrent(
    'I2: upgrade: each open order of a policy gets its one outcome, whether its case is at work, was not begun, or is lost',
    story(async (deployment) => {
      const { ledger, temporal, simulator } = deployment;
      const { world } = simulator;
      await applyPolicy(deployment, '45m');
      expect(await ledger.holds.unheld(10)).toEqual([]);

      const cases = createCases(temporal.client, true);
      const before = await deployment.startWorker(old);
      await cases.join('sess_case_at_work', 'order-sess_case_at_work', 30_000);
      await until(() => world.truth('sess_case_at_work').cancels.length > 1);
      await before.stop();
      await cases.join('sess_case_not_begun', 'order-sess_case_not_begun', 1_000);
      world.clearFaults({ sessionId: 'sess_case_at_work' });
      await deployment.startWorker(current);
      await until(async () => (await allOrders(ledger)).every(({ result }) => result.outcome !== null), 90_000);

      const results = (await allOrders(ledger)).map(({ result }) => result);
      expect(Object.fromEntries(results.map(({ sessionId, outcome }) => [sessionId, outcome]))).toEqual({
        sess_case_at_work: 'cancelled',
        sess_case_not_begun: 'cancelled',
        sess_case_lost: 'cancelled',
        sess_within: 'no-longer-violating',
      });
      expect(results).toHaveLength(OLDER_ORDERS.length);
      const { cancels, sessions } = world.truth();
      expect(Object.values(sessions).filter(({ maxConcurrentCancels: most }) => most > 1)).toEqual([]);
      expect(cancels.filter(({ sessionId }) => sessionId === 'sess_within')).toEqual([]);
      for (const id of ['sess_case_not_begun', 'sess_case_lost'])
        expect({ id, requests: cancels.filter(({ sessionId }) => sessionId === id).length }).toEqual({
          id,
          requests: 1,
        });
      await expectNoStuckWorkflow(deployment);
    }, olderLedger),
    STORY_LIMIT_MS,
  );
});
