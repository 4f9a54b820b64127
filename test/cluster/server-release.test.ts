import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { syncSchedules } from '../../src/engines/cleanup/schedules.js';
import {
  BULK_CANCELLATION,
  caseWorkflowId,
  cleanupScheduleId,
  ENFORCEMENT_WORKFLOW_ID,
  POLICY_ENFORCEMENT,
  SEARCH_ATTRIBUTES,
  SESSION_CANCELLATION,
  TASK_QUEUE,
} from '../../src/core/contract.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { createCases } from '../../src/adapters/temporal/cases.js';
import {
  ensureSearchAttributes,
  INDEXED_VALUE_TYPE,
  usabilityQuery,
} from '../../src/adapters/temporal/search-attributes.js';
import { startRefusal } from '../../src/adapters/temporal/start-refusal.js';
import { entryOf, log } from '../cleanup/stage.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { until } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { ensureNamespace } from '../support/temporal-environment.js';

/**
 * What Curfew and its documents ask of a Temporal server on PostgreSQL, release by release: TEMPORAL_VERSION=1.32.2 tries
 * another one than that of deploy/cluster.sh.
 */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** A hang limit, ms. */
const LIMIT_MS = 120_000;

/** Every list filter of our sources and documents, and the workflows of {@link PLANTED} that it finds. */
const FILTERS: Readonly<Record<string, readonly string[]>> = {
  '': ['cancel/sess_1', 'cancel/sess_2', 'cancel/sess_3', 'policy-enforcement'],
  [usabilityQuery(SEARCH_ATTRIBUTES)]: [],
  "CurfewSessionId = 'sess_1'": ['cancel/sess_1'],
  "CurfewPhase = 'attempting' AND ExecutionStatus = 'Running'": ['cancel/sess_1'],
  "CurfewOutcome = 'retries-exhausted'": ['cancel/sess_3'],
  "CurfewAgentId = 'agent_1'": ['cancel/sess_3'],
  "WorkflowType = 'sessionCancellation' AND ExecutionStatus = 'Running'": ['cancel/sess_1', 'cancel/sess_2'],
};

const PLANTED = [
  { sessionId: 'sess_1', attributes: { CurfewPhase: ['attempting'] }, closed: false },
  { sessionId: 'sess_2', attributes: { CurfewPhase: ['confirming'] }, closed: false },
  {
    ...{ sessionId: 'sess_3', closed: true },
    attributes: {
      CurfewPhase: ['attempting'],
      CurfewOutcome: ['retries-exhausted'],
      CurfewAgentId: ['agent_1'],
    },
  },
];

/** Filters as people type them: after `--query` or `-q`, in quotes. */
function documentedFilters(): string[] {
  const files = ['docs', 'deploy', 'examples', 'README.md'].flatMap((name) => filesBelow(join(ROOT, name)));
  expect(files.length).toBeGreaterThan(20);
  return files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/temporal [^\n]*?(?:--query|-q)[ =](?:"([^"\n]+)"|'([^'\n]+)')/g)].map(
      ([, double, single]) => double ?? single ?? '',
    ),
  );
}

const filesBelow = (path: string): string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.(md|sh|ya?ml|json)$/.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name))
    : [path];

it('every list filter of the documents is in the table', () => {
  const documented = documentedFilters();
  expect(documented.length).toBeGreaterThan(4);
  expect(documented.filter((filter) => !(filter in FILTERS))).toEqual([]);
});

describe('a Temporal server on PostgreSQL', () => {
  let cluster: TestCluster;
  let connection: Connection;
  let client: Client;
  let namespace: string;
  let folder: string;
  let ledger: Ledger;

  beforeAll(async () => {
    cluster = await startCluster();
    connection = await Connection.connect({ address: cluster.settings['TEMPORAL_ADDRESS'] ?? '' });
    namespace = cluster.settings['TEMPORAL_NAMESPACE'] ?? '';
    client = new Client({ connection, namespace });
    folder = mkdtempSync(join(tmpdir(), 'curfew-release-'));
    ledger = await openLedger(join(folder, 'ledger.db'), { migrate: true });
  }, OBTAIN_LIMIT_MS);

  afterAll(async () => {
    await ledger?.close();
    await connection?.close();
    await cluster?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it('is of the release that is meant', async () => {
    const { serverVersion, visibilityStore } = await connection.workflowService.getClusterInfo({});
    expect({ serverVersion, visibilityStore }).toEqual({
      serverVersion: process.env['TEMPORAL_VERSION'] ?? '1.31.5',
      visibilityStore: 'postgres12',
    });
  });

  it(
    'takes our search attributes',
    async () => {
      expect(await ensureSearchAttributes(connection, namespace, SEARCH_ATTRIBUTES)).toBe('registered');
      expect(await ensureSearchAttributes(connection, namespace, SEARCH_ATTRIBUTES)).toBe('present');
    },
    LIMIT_MS,
  );

  it(
    'says that there is no room for them beside seven of type Keyword',
    async () => {
      await ensureNamespace(connection, 'crowded');
      const theirs = Array.from({ length: 7 }, (_, index) => [`Theirs${index}`, INDEXED_VALUE_TYPE.Keyword] as const);
      const searchAttributes = Object.fromEntries(theirs);
      await connection.operatorService.addSearchAttributes({ namespace: 'crowded', searchAttributes });
      expect(await ensureSearchAttributes(connection, 'crowded', SEARCH_ATTRIBUTES)).toBe('no-room');
    },
    LIMIT_MS,
  );

  describe('finds by the filter', () => {
    beforeAll(async () => {
      const start = (type: string, workflowId: string, attributes: Record<string, string[]>): Promise<WorkflowHandle> =>
        client.workflow.start(type, { workflowId, taskQueue: TASK_QUEUE, searchAttributes: attributes });
      for (const { sessionId, attributes, closed } of PLANTED) {
        const handle = await start(SESSION_CANCELLATION, caseWorkflowId(sessionId), {
          CurfewSessionId: [sessionId],
          ...attributes,
        });
        if (closed) await handle.terminate('a test');
      }
      await start(POLICY_ENFORCEMENT, ENFORCEMENT_WORKFLOW_ID, {});
      await until(async () => (await client.workflow.count('ExecutionStatus = "Terminated"')).count === 1);
      await until(async () => (await client.workflow.count()).count === 4);
    }, LIMIT_MS);

    it.each(Object.entries(FILTERS))(
      '%j',
      async (query, expected) => {
        const found: string[] = [];
        for await (const { workflowId } of client.workflow.list(query === '' ? {} : { query })) found.push(workflowId);
        expect(found.sort()).toEqual(expected);
        expect((await client.workflow.count(query)).count).toBe(expected.length);
      },
      LIMIT_MS,
    );
  });

  it('refuses a workflow id of more than 255 bytes, in words that are passed on', async () => {
    const cases = createCases(client, true);
    const refusal = await cases
      .join('é'.repeat(125), 'an-order', 10_000)
      .catch((error: unknown) => startRefusal(error));
    expect(refusal).toMatch(/^WorkflowId (length exceeds limit|exceeds maximum allowed length \(257\/255\))$/);
    expect(await cases.join('é'.repeat(124), 'an-order', 1_000)).toBe('no-worker-yet');
  });

  it(
    'keeps the Schedule of a cleanup: next runs, a run by hand, a pause, its end',
    async () => {
      const entry = entryOf('stale-queue', { cron: '0 3 * * *', timezone: 'Europe/Berlin' });
      const sync = (entries: readonly (typeof entry)[]): Promise<void> =>
        syncSchedules(ledger, client, log, entries, new Set());
      await sync([entry]);
      const handle = client.schedule.getHandle(cleanupScheduleId(entry.name));
      const described = await handle.describe();
      expect(described.spec.timezone).toBe('Europe/Berlin');
      expect(described.info.nextActionTimes.length).toBeGreaterThan(2);
      for (const time of described.info.nextActionTimes) expect(time.toISOString()).toMatch(/T0[12]:0[01]:/);
      const listed = async () => {
        const found: { id: string; paused: boolean | undefined }[] = [];
        for await (const { scheduleId, state } of client.schedule.list()) {
          found.push({ id: scheduleId, paused: state?.paused });
        }
        return found;
      };
      await until(async () => (await listed()).length === 1);

      await handle.trigger();
      const runs = `WorkflowType = '${BULK_CANCELLATION}' AND ExecutionStatus = 'Running'`;
      await until(async () => (await client.workflow.count(runs)).count === 1);
      for await (const { workflowId } of client.workflow.list({ query: runs })) {
        expect(workflowId).toMatch(/^cleanup\/stale-queue-\d{4}-/);
        await client.workflow.getHandle(workflowId).terminate('a test');
      }

      await handle.pause('a test');
      await until(async () => (await listed())[0]?.paused === true);
      // Another time of day, and what a person has paused stays paused.
      await sync([{ ...entry, schedule: { ...entry.schedule, cron: '30 4 * * *' } }]);
      const changed = await handle.describe();
      expect(changed.state.paused).toBe(true);
      expect(changed.spec.calendars?.[0]).toMatchObject({ hour: [{ start: 4 }], minute: [{ start: 30 }] });

      await sync([]);
      await until(async () => (await listed()).length === 0);
      await expect(handle.describe()).rejects.toThrow();
    },
    LIMIT_MS,
  );
});
