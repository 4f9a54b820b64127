import { writeFile } from 'node:fs/promises';
import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, expect, it } from '@jest/globals';
import { caseWorkflowId, ENFORCEMENT_WORKFLOW_ID, TASK_QUEUE } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { homePaths } from '../../src/platform/home.js';
import { until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome, type OwnHome } from '../support/own-home.js';
import { startReady } from '../support/curfew-process.js';

afterAll(closeHomes, 60_000);

interface Doctor {
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly says: string;
    readonly next: string;
  }[];
}
interface Status {
  readonly strangers: readonly { readonly id: string; readonly next: string }[];
  readonly coverage: object | null;
}

async function checkOf(own: OwnHome, name: string): Promise<{ code: number | null } & Doctor['checks'][number]> {
  const { code, stdout } = await own.run('doctor', '--json');
  const check = (JSON.parse(stdout) as Doctor).checks.find((each) => each.name === name);
  if (check === undefined) throw new Error(`doctor has no check ${name}: ${stdout}`);
  return { code, ...check };
}

const POLICIES = `version: 1
policies:
  - name: short
    match: { agents: ["agent_test"] }
    limits: { max_runtime: 20m }
    mode: enforce
`;

it(
  'a stranger under the ids of enforcement and of a case is told everywhere, with the command; when it is gone all is done',
  inOwnHome({ CURFEW_HTTP_ADDRESS: '127.0.0.1:0', CURFEW_SCAN_INTERVAL: '2s' }, async (own) => {
    own.simulator.world.addSession({ agent: 'agent_test', id: 'sess_ruled', turnAge: '1h', runsFor: null });
    own.simulator.world.addSession({ agent: 'agent_test', id: 'sess_asked', turnAge: '5m', runsFor: null });
    const { process: up, ready } = await startReady(['up'], own.settings);
    const { http } = ready as typeof ready & { readonly http: string };
    const connection = await Connection.connect({ address: ready.temporal.address });
    const client = new Client({ connection });
    try {
      const plant = (workflowId: string) => client.workflow.start('theirs', { workflowId, taskQueue: TASK_QUEUE });
      const planted = [await plant(ENFORCEMENT_WORKFLOW_ID), await plant(caseWorkflowId('sess_asked'))];
      expect((await fetch(`${http}/readyz`)).status).toBe(200);

      const file = join(own.folder, 'curfew.yaml');
      await writeFile(file, POLICIES);
      expect((await own.run('policy', 'apply', file, '--yes')).code).toBe(ExitCode.done);
      const cancelled = await own.run('cancel', 'sess_asked');
      expect(cancelled.stderr).toContain('The order is kept and NOTHING IS SENT for it');
      expect(cancelled.stderr).toContain('temporal workflow terminate --workflow-id cancel/sess_asked');

      await until(async () =>
        (await own.curfew<Status>('status')).strangers.some(({ id }) => id === ENFORCEMENT_WORKFLOW_ID),
      );
      const unready = await fetch(`${http}/readyz`);
      expect(unready.status).toBe(503);
      expect(await unready.text()).toContain('policy-enforcement');
      expect(up.stderr()).toContain('temporal workflow terminate --workflow-id policy-enforcement');
      expect(await checkOf(own, 'own ids')).toMatchObject({
        code: ExitCode.failed,
        status: 'failed',
        says: expect.stringContaining('So it is with cancel/sess_asked.') as unknown,
        next: expect.stringContaining(`--workflow-id policy-enforcement`) as unknown,
      });
      expect(own.simulator.world.truth().cancels).toEqual([]);

      for (const handle of planted) await handle.terminate();
      const cancelsOf = (id: string) =>
        own.simulator.world.truth().cancels.filter(({ sessionId }) => sessionId === id).length;
      await until(() => cancelsOf('sess_ruled') === 1 && cancelsOf('sess_asked') === 1);
      await until(async () => (await fetch(`${http}/readyz`)).status === 200);
      expect(await checkOf(own, 'own ids')).toMatchObject({ status: 'ok' });
    } finally {
      await connection.close();
    }
  }),
  300_000,
);

it(
  '`up` starts in no home that others may write to, and tightens what an older one left readable; doctor says the same',
  inOwnHome({}, async (own) => {
    const { temporalDb } = homePaths(own.home);
    const before = await own.up();
    before.signal('SIGTERM');
    await before.ended;
    chmodSync(temporalDb, 0o644);
    chmodSync(own.home, 0o777);
    const refused = await own.run('up');
    expect(refused.code).toBe(ExitCode.refused);
    expect(refused.stderr).toContain(`${own.home} can be written by every user of this machine (mode 0777)`);
    expect(refused.stderr).toContain(`chmod go-rwx ${own.home}`);
    expect(await checkOf(own, 'home')).toMatchObject({ status: 'failed' });

    chmodSync(own.home, 0o755);
    const up = await own.up();
    expect(up.stderr()).toContain('can be entered or listed by other users');
    expect(statSync(temporalDb).mode & 0o777).toBe(0o600);
    expect(await checkOf(own, 'home')).toMatchObject({ status: 'warning' });
  }),
  120_000,
);

it(
  '`up` brings a UI along when it is asked for, and not otherwise',
  inOwnHome({}, async (own) => {
    const uiOf = async (...args: string[]) => {
      const { process: up, ready } = await startReady(['up', ...args], own.settings);
      up.signal('SIGTERM');
      await up.ended;
      return (ready.temporal as typeof ready.temporal & { readonly uiUrl: string | null }).uiUrl;
    };
    expect(await uiOf('--ui')).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await uiOf()).toBeNull();
  }),
  120_000,
);
