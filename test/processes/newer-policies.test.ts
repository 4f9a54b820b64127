import { dirname, join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/errors.js';
import { homePaths } from '../../src/home.js';
import { openDatabase } from '../../src/ledger/open.js';
import { POLICY_SCHEMA } from '../../src/ledger/policy-versions.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
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

let home: string;
let simulator: Simulator;
let settings: Settings;

beforeEach(async () => {
  home = makeHome();
  simulator = await startSimulator({ slots: 100 });
  for (const id of ['agent_ruled', 'agent_hand']) simulator.world.addAgent({ id, name: id });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_RETRY_CAP: '1s',
    CURFEW_SCAN_INTERVAL: '1s',
  });
});

afterEach(async () => {
  await stopEverything();
  await simulator.close();
  removeHome(home);
}, 60_000);

/** As a newer worker beside this one would. */
async function applyNewerPolicies(): Promise<void> {
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

async function curfew(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCurfew([...args, '--json'], settings);
  if (code !== 0) throw new Error(`curfew ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

it(
  'I5: a worker under policies of a newer Curfew orders and sends nothing by policy, says so, and still does what people order',
  async () => {
    const { world } = simulator;
    const add = (id: string, agent: string, more: object = {}): void =>
      void world.addSession({ agent, id, turnAge: '2h', runsFor: null, ...more });
    add('sess_ruled', 'agent_ruled', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
    add('sess_hand', 'agent_hand');
    const file = join(dirname(home), 'curfew.yaml');
    writeFileSync(file, POLICIES);
    const up = await startReady(['up', file], settings);
    await until(() => world.truth('sess_ruled').cancels.length > 1);

    await applyNewerPolicies();
    await up.process.says('newer Curfew');
    // What has left before it, and what was let out in that moment.
    await sleep(3_000);
    const sent = world.truth('sess_ruled').cancels.length;
    world.clearFaults({ sessionId: 'sess_ruled' });
    add('sess_ruled_too', 'agent_ruled');

    expect(await curfew('cancel', 'sess_hand', '--wait')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
    await sleep(5_000);
    expect(world.truth('sess_ruled').cancels).toHaveLength(sent);
    expect(world.truth('sess_ruled_too').cancels).toEqual([]);
    expect(await curfew('cases', '--open')).toMatchObject({ orders: [{ sessionId: 'sess_ruled', outcome: null }] });
    expect(await curfew('status')).toMatchObject({ policies: { version: 2, tooNew: true } });
    const apply = await runCurfew(['policy', 'apply', file, '--yes'], settings);
    expect(apply.code).toBe(ExitCode.refused);
    expect(apply.stderr).toContain('newer Curfew');

    // Started again it says so at once; with a file of its own it refuses, rather than to replace what it can't read.
    up.process.signal('SIGTERM');
    expect((await up.process.ended).code).toBe(0);
    const refused = await runCurfew(['up', file], settings);
    expect(refused.code).toBe(ExitCode.refused);
    const again = await startReady(['up'], settings);
    expect(again.ready).toMatchObject({ policies: { version: 2, tooNew: true } });
    add('sess_hand_too', 'agent_hand');
    expect(await curfew('cancel', 'sess_hand_too', '--wait')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
    expect(world.truth('sess_ruled').cancels).toHaveLength(sent);
  },
  STORY_LIMIT_MS,
);
