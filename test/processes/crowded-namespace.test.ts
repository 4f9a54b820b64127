import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { ExitCode } from '../../src/core/errors.js';
import { INDEXED_VALUE_TYPE } from '../../src/adapters/temporal/search-attributes.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { ensureNamespace, startEnvironment, type TestEnvironment } from '../support/temporal-environment.js';

const NAMESPACE = 'crowded';

let home: string;
let environment: TestEnvironment;
let simulator: Simulator;
let settings: Settings;

beforeAll(async () => {
  home = makeHome();
  environment = await startEnvironment();
  const { connection } = environment.env;
  await ensureNamespace(connection, NAMESPACE);
  const theirs = Array.from({ length: 7 }, (_, index) => [`Theirs${index}`, INDEXED_VALUE_TYPE.Keyword] as const);
  await connection.operatorService.addSearchAttributes({
    namespace: NAMESPACE,
    searchAttributes: Object.fromEntries(theirs),
  });
  simulator = await startSimulator();
  simulator.world.addAgent({ id: 'agent_test' });
  simulator.world.addSession({ agent: 'agent_test', id: 'sess_1', turnAge: '30m' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    TEMPORAL_ADDRESS: connection.options.address,
    TEMPORAL_NAMESPACE: NAMESPACE,
  });
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await stopEverything();
  await simulator?.close();
  await environment?.stop();
  removeHome(home);
}, 60_000);

it('a worker carries out orders in a namespace that has no room for its search attributes, and says so', async () => {
  const { process: worker } = await startReady(['worker'], settings);
  expect(worker.stderr()).toContain('no room');
  const cancelled = await runCurfew(['cancel', 'sess_1', '--wait', '--json'], settings);
  expect(cancelled.code).toBe(ExitCode.done);
  const watched = await runCurfew(['watch', 'sess_1', '--max-runtime', '20m', '--json'], settings);
  expect(watched.code).toBe(ExitCode.done);

  const { stdout } = await runCurfew(['doctor', '--json'], settings);
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; says: string; next: string }[] };
  expect(checks.find(({ name }) => name === 'temporal')).toMatchObject({ status: 'ok' });
  expect(checks.find(({ name }) => name === 'search attributes')).toMatchObject({
    status: 'warning',
    says: expect.stringContaining('no room') as unknown,
    next: expect.stringContaining('TEMPORAL_NAMESPACE') as unknown,
  });
}, 240_000);
