import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import {
  bulkWorkflowId,
  caseWorkflowId,
  ENFORCEMENT_WORKFLOW_ID,
  NOTIFICATION,
  notificationWorkflowId,
  POLICY_ENFORCEMENT,
  SESSION_CANCELLATION,
  TASK_QUEUE,
  watchWorkflowId,
} from '../../src/core/contract.js';
import { reconcileBulkJobs } from '../../src/worker/keepers/bulk-jobs.js';
import { ExitCode } from '../../src/core/errors.js';
import { keepEnforcing } from '../../src/worker/keepers/policies.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { startNotifications } from '../../src/worker/keepers/notifications.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { takeUpNeglected } from '../../src/worker/keepers/cases.js';
import { findStrangers } from '../../src/cli/own-ids-check.js';
import { createBulkJobs } from '../../src/adapters/temporal/bulk-jobs.js';
import { createCases } from '../../src/adapters/temporal/cases.js';
import { createNotifications } from '../../src/adapters/temporal/notifications.js';
import {
  createOwnIds,
  strangerAt,
  StrangerError,
  whatIsWrong,
  type RunningWorkflow,
} from '../../src/adapters/temporal/own-ids.js';
import { readStrangers } from '../../src/adapters/temporal/stranger-notes.js';
import { createStrangers, unreadyBecauseOf } from '../../src/adapters/temporal/strangers.js';
import { createWatches } from '../../src/adapters/temporal/watches.js';
import { makeHome, removeHome, until } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { startEnvironment, type TestEnvironment } from '../support/temporal-environment.js';

const logger = () => ({ debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() });

describe('a workflow under an id of ours', () => {
  const ours: RunningWorkflow = { type: SESSION_CANCELLATION, taskQueue: TASK_QUEUE, delayMs: 0, failures: 0 };

  it('is ours when it is of our type, on our queue, and gets on', () => {
    expect(whatIsWrong(SESSION_CANCELLATION, ours)).toBeNull();
    expect(whatIsWrong(SESSION_CANCELLATION, { ...ours, failures: 5, delayMs: 1_000 })).toBeNull();
  });

  it.each([
    [{ type: 'theirs' }, 'has the type "theirs", not sessionCancellation'],
    [{ taskQueue: 'nobody' }, 'is on the task queue "nobody"'],
    [{ delayMs: 86_400_000 }, 'with a delay of 86400 s'],
    [{ failures: 6 }, 'has failed 6 times in a row'],
  ])('is in the way with %j', (other, why) => {
    expect(whatIsWrong(SESSION_CANCELLATION, { ...ours, ...other })).toContain(why);
  });
});

it('a taken id of one bulk job keeps no other job from its work, and no warning hides that it was told already', async () => {
  const jobs = ['taken', 'free'].map((planId) => ({ planId, state: 'running' }));
  const ensured: string[] = [];
  const bulkJobs = {
    ensure: (planId: string) => {
      ensured.push(planId);
      const stranger = { id: bulkWorkflowId(planId), says: 'Theirs.', next: 'End it.' };
      return planId === 'taken' ? Promise.reject(new StrangerError(stranger)) : Promise.resolve();
    },
  };
  const [log, stopping] = [logger(), new AbortController()];
  const ledger = { bulk: { list: () => Promise.resolve(jobs) } };
  const loop = reconcileBulkJobs(ledger as never, bulkJobs, log, stopping.signal);
  await until(() => ensured.length >= 2);
  stopping.abort();
  await loop;
  expect(ensured).toEqual(['taken', 'free']);
  expect(log.warn).not.toHaveBeenCalled();
});

/** No worker of ours runs: what is asked here is asked of the server alone. */
describe('what somebody else started under an id of ours', () => {
  let environment: TestEnvironment;
  let home: string;
  let ledger: Ledger;
  beforeAll(async () => void (environment = await startEnvironment()), OBTAIN_LIMIT_MS);
  afterAll(() => environment?.stop());
  beforeEach(async () => {
    home = makeHome();
    ledger = await openLedger(`${home}/ledger.db`, { migrate: true });
  });
  afterEach(async () => {
    await ledger.close();
    removeHome(home);
  });

  const client = () => environment.env.client;
  function plant(workflowId: string, type = 'theirs', more: object = {}): Promise<WorkflowHandle> {
    return client().workflow.start(type, { workflowId, taskQueue: TASK_QUEUE, ...more });
  }
  const cases = () => createCases(client(), false);
  const order = (sessionId: string): Promise<string> =>
    ledger.orders.create({
      ...{ sessionId, source: 'person', requestedBy: 'p', evenIfExempt: false, turnKey: null },
      reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
    });

  it.each([
    ['a case', caseWorkflowId, (id: string) => cases().join(id, 'order_1', 300)],
    ['a case that a person wants tried again', caseWorkflowId, (id: string) => cases().retryNow(id)],
    ['a watch', watchWorkflowId, (id: string) => createWatches(client(), false).wake(id)],
    ['a watch that is resumed', watchWorkflowId, (id: string) => createWatches(client(), false).resume(id)],
    ['a bulk job', bulkWorkflowId, (id: string) => createBulkJobs(client()).ensure(id)],
    ['a notification', notificationWorkflowId, (id: string) => createNotifications(client()).start(id)],
  ])('is told to whoever starts %s there, with the command that mends it; then it starts', async (_, idOf, begin) => {
    const subject = randomUUID();
    const handle = await plant(idOf(subject));
    const error: unknown = await begin(subject).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      name: 'UserError',
      exitCode: ExitCode.refused,
      message: expect.stringMatching(
        new RegExp(`^The workflow that runs as ${idOf(subject)} has the type "theirs"`),
      ) as unknown,
      next: expect.stringMatching(
        new RegExp(
          `temporal workflow terminate --workflow-id ${idOf(subject)} .*--namespace default --address 127.0.0.1:\\d+$`,
        ),
      ) as unknown,
    });
    await handle.terminate();
    expect(await begin(subject).catch((reason: unknown) => reason)).not.toBeInstanceOf(Error);
  });

  it('is found by its queue and by its delay as well, and not when it has ended', async () => {
    const id = caseWorkflowId(randomUUID());
    const look = () => strangerAt(client(), id, SESSION_CANCELLATION);
    expect(await look()).toBeNull();
    let handle = await plant(id, SESSION_CANCELLATION, { taskQueue: 'nobody-listens' });
    expect((await look())?.says).toContain('on the task queue "nobody-listens"');
    await handle.terminate();
    expect(await look()).toBeNull();
    handle = await plant(id, SESSION_CANCELLATION, { startDelay: '30 days' });
    expect((await look())?.says).toContain('was started with a delay of 2592000 s');
    await handle.terminate();
    handle = await plant(id, SESSION_CANCELLATION);
    expect(await look()).toBeNull();
    await handle.terminate();
  });

  it('loses no order: it is reported as not ending, with the cause and the command', async () => {
    const sessionId = `sess_${randomUUID()}`;
    const handle = await plant(caseWorkflowId(sessionId));
    const longAgoMs = Date.now() - 120_000;
    jest.spyOn(Date, 'now').mockReturnValue(longAgoMs);
    const orderId = await order(sessionId).finally(() => jest.restoreAllMocks());
    const { signal } = new AbortController();
    await takeUpNeglected(ledger, cases(), logger(), Number.MAX_SAFE_INTEGER, signal);
    const [view] = await ledger.orders.views({ orderIds: [orderId] });
    expect(view?.result.events).toEqual([
      expect.objectContaining({
        kind: 'not-ending',
        why: expect.stringMatching(/^Temporal does not start its case: .* has the type "theirs".*terminate/) as unknown,
      }),
    ]);
    await handle.terminate();
  });

  it('is found although it takes the update: an order that was neglected is reason enough to look', async () => {
    const sessionId = `sess_${randomUUID()}`;
    const handle = await plant(caseWorkflowId(sessionId));
    const answering = {
      workflow: { startUpdateWithStart: () => Promise.resolve({}) },
      withDeadline: (_: number, f: () => unknown) => f(),
    };
    const ids = createOwnIds(client());
    const deceived = createCases(answering as never, false, ids);
    expect(await deceived.join(sessionId, 'order_1', 300)).toBe('joined');
    await expect(deceived.join(sessionId, 'order_1', 300, true)).rejects.toThrow('has the type "theirs"');
    await handle.terminate();
  });

  it('keeps no fleet unwatched in silence: told in the log once, in the ledger, in readiness, by doctor, until it is gone', async () => {
    const handle = await plant(ENFORCEMENT_WORKFLOW_ID);
    const sourceText =
      'version: 1\npolicies:\n  - { name: p, match: { agents: ["*"] }, limits: { max_runtime: 45m } }\n';
    const { file } = readPolicyFile(sourceText, 'curfew.yaml');
    await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText, by: 'a test' });
    expect((await findStrangers(ledger, client())).map(({ id }) => id)).toEqual([ENFORCEMENT_WORKFLOW_ID]);

    const [log, stopping] = [logger(), new AbortController()];
    const strangers = createStrangers(client(), log);
    const loops = [
      keepEnforcing(ledger, client(), log, stopping.signal, strangers.ids),
      strangers.keep(ledger, stopping.signal, 50),
    ];
    try {
      await until(async () => (await readStrangers(ledger)).length === 1);
      expect(unreadyBecauseOf(strangers.found())).toBe(
        'Temporal: something else uses one of Curfew’s ids (policy-enforcement); see curfew doctor',
      );
      // Started again and again meanwhile, and told once.
      expect(log.error.mock.calls).toEqual([
        [
          { id: ENFORCEMENT_WORKFLOW_ID },
          expect.stringMatching(/"theirs", not policyEnforcement.* temporal workflow terminate/),
        ],
      ]);
      expect(log.warn).not.toHaveBeenCalled();

      await handle.terminate();
      await until(async () => (await readStrangers(ledger)).length === 0);
      expect(unreadyBecauseOf(strangers.found())).toBeNull();
      await until(async () => {
        const described = await client().workflow.getHandle(ENFORCEMENT_WORKFLOW_ID).describe();
        return described.type === POLICY_ENFORCEMENT && described.status.name === 'RUNNING';
      });
      expect(await findStrangers(ledger, client())).toEqual([]);
    } finally {
      stopping.abort();
      await Promise.all(loops);
      await client()
        .workflow.getHandle(ENFORCEMENT_WORKFLOW_ID)
        .terminate()
        .catch(() => {});
    }
  });

  it('says nothing while Temporal can’t be asked', async () => {
    const away = { ...client(), withDeadline: () => Promise.reject(new Error('14 UNAVAILABLE')) };
    await createOwnIds(away as never).check(caseWorkflowId('sess_1'), SESSION_CANCELLATION);
  });

  it('names no session where an answer may hold none', () => {
    const stranger = { id: caseWorkflowId('sess_secret'), says: '', next: '' };
    const words = unreadyBecauseOf([stranger, { ...stranger, id: 'policy-enforcement' }]);
    expect(words).toBe('Temporal: something else uses one of Curfew’s ids (cancel/… and 1 more); see curfew doctor');
  });

  it('keeps no other route from telling', async () => {
    const handle = await plant(notificationWorkflowId('first'));
    const sourceText = `version: 1
policies:
  - { name: p, match: { agents: ["*"] }, limits: { max_runtime: 45m }, notify: [first, second] }
notify:
  first: { webhook: { url: "http://127.0.0.1:9/first", secret_file: /run/secrets/hook } }
  second: { webhook: { url: "http://127.0.0.1:9/second", secret_file: /run/secrets/hook } }
`;
    const { file } = readPolicyFile(sourceText, 'curfew.yaml');
    await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText, by: 'a test' });
    await ledger.recordEvents([{ kind: 'coverage-lost', data: {} }]);
    const stopping = new AbortController();
    const loop = startNotifications(ledger, createNotifications(client()), logger(), stopping.signal);
    try {
      const second = client().workflow.getHandle(notificationWorkflowId('second'));
      await until(() =>
        second.describe().then(
          ({ type }) => type === NOTIFICATION,
          () => false,
        ),
      );
    } finally {
      stopping.abort();
      await loop;
      await handle.terminate();
      await client().workflow.getHandle(notificationWorkflowId('second')).terminate();
    }
  });
});
