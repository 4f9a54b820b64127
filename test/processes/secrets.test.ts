import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { caseWorkflowId } from '../../src/core/contract.js';
import { homePaths } from '../../src/platform/home.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { startEchoServer, type EchoServer } from './echo-server.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';
import { filesIn, formsOf } from './secret-search.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

const run = promisify(execFile);
const sessionId = 'sess_secret';

/** Survives every way of writing a text, so that it is found in quotes, in a URL, in JSON, and cut in half. */
const core = randomBytes(16).toString('hex');
/** With characters that JSON and URLs write in other ways. */
const apiKey = `sk-"test\\${core}+/=~`;
/** Not a secret, and known to be kept: shows that the search looks where things are. */
const marker = randomBytes(16).toString('hex');

let home: string;
let simulator: Simulator;
let echo: EchoServer;
let serverEnvironment = '';
/** Everything that Curfew left behind: by name, the text. */
const traces = new Map<string, string>();

beforeAll(async () => {
  home = makeHome();
  simulator = await startSimulator({ apiKey });
  simulator.world.addAgent({ id: 'agent_test' });
  simulator.world.addSession({ agent: 'agent_test', id: sessionId, turnAge: '1h' });
  echo = await startEchoServer(simulator.url);
  const settings: Settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: echo.url,
    GUMLOOP_API_KEY: apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_LOG: 'debug',
    CURFEW_RETRY_CAP: '1s',
    CURFEW_KEY_RETRY: '1s',
  });

  const { process: up, ready } = await startReady(['up'], settings);
  const said = async (name: string, args: readonly string[]) => {
    const { stdout, stderr } = await runCurfew(args, settings);
    traces.set(`${name}: stdout`, stdout);
    traces.set(`${name}: stderr`, stderr);
  };
  await said('doctor, while it is refused', ['doctor']);
  await said('cancel', ['cancel', sessionId, '--wait', '--reason', marker]);
  await said('cancel --json', ['cancel', sessionId, '--wait', '--json']);
  await said('cases', ['cases', sessionId]);
  await said('cases --json', ['cases', '--json']);
  await said('doctor', ['doctor', '--json']);
  const show = ['workflow', 'show', '--workflow-id', caseWorkflowId(sessionId), '--address', ready.temporal.address];
  const history = await run(await temporalBinary(), [...show, '--output', 'json'], { maxBuffer: 1e8 });
  traces.set('history', history.stdout);
  if (process.platform === 'linux') {
    serverEnvironment = readFileSync(`/proc/${readServerNote(home)?.pid}/environ`, 'utf8');
  }
  up.signal('SIGTERM');
  const { stdout, stderr } = await up.ended;
  traces.set('up: stdout', stdout);
  traces.set('up: stderr', stderr);
  for (const file of filesIn(dirname(home))) traces.set(`file ${file}`, readFileSync(file, 'latin1'));
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await stopEverything();
  await echo.close();
  await simulator.close();
  removeHome(home);
}, 60_000);

const placesOf = (text: string): string[] =>
  [...traces].filter(([, content]) => formsOf(text).some((form) => content.includes(form))).map(([name]) => name);

describe('the API key', () => {
  it('I7: is in nothing that Curfew writes: output, logs, ledger, Temporal history, files', () => {
    expect(placesOf(core)).toEqual([]);
    expect(placesOf(core.slice(0, 16))).toEqual([]);
    expect(placesOf(core.slice(16))).toEqual([]);
    expect([...traces].filter(([, content]) => /bearer sk-/i.test(content)).map(([name]) => name)).toEqual([]);
  });

  it('I7: is not handed down to the Temporal server', () => {
    expect(serverEnvironment).not.toContain(core);
    expect(serverEnvironment).not.toContain('GUMLOOP');
  });

  it('was said back to Curfew in every way, for reads and for requests alike, and was blacked out', () => {
    expect(echo.echoes()).toBeGreaterThanOrEqual(20);
    expect(traces.get('up: stderr')).toContain('[redacted]');
    expect(simulator.world.truth().cancels.map(({ effect }) => effect)).toEqual([true]);
  });

  it('would have been found: what may be kept is found in each of these places', () => {
    const found = placesOf(marker);
    expect(found).toEqual(expect.arrayContaining(['history', 'cases: stdout', 'cases --json: stdout']));
    const files = found.join('\n');
    expect(files).toContain(homePaths(home).ledger);
    expect(files).toContain(homePaths(home).temporalDb);
  });
});
