import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { homePaths } from '../../src/platform/home.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { POLICY_SCHEMA } from '../../src/adapters/ledger/policy-versions.js';
import { startReady } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 4 * 60_000;
const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["agent_ruled"] }
    limits: { max_runtime: 45m }
    mode: enforce
`;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

/** As a newer worker beside this one would. */
async function applyNewerPolicies(home: string): Promise<void> {
  const { db, close } = await openDatabase(homePaths(home).ledger);
  try {
    const last = await db
      .selectFrom('policy_versions')
      .selectAll()
      .orderBy('version', 'desc')
      .executeTakeFirstOrThrow();
    const newer = { ...last, version: last.version + 1, schema: POLICY_SCHEMA + 1 };
    await db.insertInto('policy_versions').values(newer).execute();
  } finally {
    await close();
  }
}

it(
  'I5: a worker under policies of a newer Curfew orders and sends nothing by policy, says so, and still does what people order',
  inOwnHome({ CURFEW_RETRY_CAP: '1s', CURFEW_KEY_RETRY: '1s', CURFEW_SCAN_INTERVAL: '1s' }, async (own) => {
    const { world } = own.simulator;
    for (const id of ['agent_ruled', 'agent_hand']) world.addAgent({ id, name: id });
    const add = (id: string, agent: string, more: object = {}): void =>
      void world.addSession({ agent, id, turnAge: '2h', runsFor: null, ...more });
    add('sess_ruled', 'agent_ruled', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
    add('sess_hand', 'agent_hand');
    const file = join(own.folder, 'curfew.yaml');
    writeFileSync(file, POLICIES);
    const worker = await own.up(file);
    await until(() => world.truth('sess_ruled').cancels.length > 1);

    await applyNewerPolicies(own.home);
    await worker.says('newer Curfew');
    // What was let out in that moment has left: the next try of the case comes to nothing.
    const heldAt = async (): Promise<number> => {
      const [order] = await own.withLedger(({ orders }) => orders.views({ sessionId: 'sess_ruled' }));
      const { type, at = '' } = order?.result.lastError ?? {};
      return type === 'RuleUnknown' ? Date.parse(at) : NaN;
    };
    await until(async () => (await heldAt()) > 0);
    const sent = world.truth('sess_ruled').cancels.length;
    world.clearFaults({ sessionId: 'sess_ruled' });
    add('sess_ruled_too', 'agent_ruled');

    expect(await own.curfew('cancel', 'sess_hand', '--wait')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
    const before = Date.now();
    await until(async () => (await heldAt()) > before);
    expect(world.truth('sess_ruled').cancels).toHaveLength(sent);
    expect(world.truth('sess_ruled_too').cancels).toEqual([]);
    expect(await own.curfew('cases', '--open')).toMatchObject({ orders: [{ sessionId: 'sess_ruled', outcome: null }] });
    expect(await own.curfew('status')).toMatchObject({ policies: { version: 2, tooNew: true } });
    const apply = await own.run('policy', 'apply', file, '--yes');
    expect(apply.code).toBe(ExitCode.refused);
    expect(apply.stderr).toContain('newer Curfew');

    // Started again it says so at once; with a file of its own it refuses, rather than to replace what it can't read.
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    const refused = await own.run('up', file);
    expect(refused.code).toBe(ExitCode.refused);
    const again = await startReady(['up'], own.settings);
    expect(again.ready).toMatchObject({ policies: { version: 2, tooNew: true } });
    add('sess_hand_too', 'agent_hand');
    expect(await own.curfew('cancel', 'sess_hand_too', '--wait')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
    expect(world.truth('sess_ruled').cancels).toHaveLength(sent);
  }),
  STORY_LIMIT_MS,
);
