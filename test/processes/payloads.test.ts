import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { newSecret } from '../notify/rules.js';
import { runCurfew, settingsFor, startReady, stopEverything } from '../support/curfew-process.js';
import { makeHome, removeHome } from '../support/embedded-server.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startReceiver, type Receiver } from '../support/receiver.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { readTraces, type TemporalTraces } from './temporal-traces.js';
import { setTheScene, tellWholeStory, writePolicyFile, SESSIONS, type Planted } from './whole-story.js';

const word = (): string => randomBytes(12).toString('hex');
const planted: Planted = {
  message: `the message ${word()}`,
  agentName: `Agent ${word()}`,
  creator: `${word()}@example.test`,
  reason: `the reason ${word()}`,
};
const apiKey = `sk-${word()}`;
const hookSecret = newSecret();

let home: string;
let postgres: TestPostgres;
let simulator: Simulator;
let receiver: Receiver;
let traces: TemporalTraces;
/** Everything that commands and the worker wrote. */
let output = '';
let serverArguments = '';

beforeAll(async () => {
  home = makeHome();
  [simulator, receiver, postgres] = await Promise.all([startSimulator({ apiKey }), startReceiver(), startPostgres()]);
  setTheScene(simulator, planted);
  const databaseUrl = join(dirname(home), 'database-url');
  writeFileSync(databaseUrl, `${await postgres.createDatabase()}\n`, { mode: 0o600 });
  const keyFile = join(dirname(home), 'api-key');
  writeFileSync(keyFile, `${apiKey}\n`, { mode: 0o600 });
  const settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY_FILE: keyFile,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_DATABASE_URL_FILE: databaseUrl,
    CURFEW_LOG: 'debug',
    CURFEW_RETRY_CAP: '1s',
    CURFEW_SCAN_INTERVAL: '1s',
  });
  const file = writePolicyFile(dirname(home), receiver, hookSecret);
  const { process: up, ready } = await startReady(['up', file], settings);
  const { address } = ready.temporal;
  for (const { stdout, stderr } of (await tellWholeStory(simulator, receiver, settings, address, planted)).values()) {
    output += stdout + stderr;
  }
  // Reads while the database is away: errors name the place, not the password.
  const doctor = await runCurfew(['doctor', '--json'], settings);
  await postgres.shutDown();
  const away = await runCurfew(['doctor', '--json'], settings);
  const history = await runCurfew(['history'], settings);
  await postgres.startAgain();
  for (const { stdout, stderr } of [doctor, away, history]) output += stdout + stderr;
  expect(JSON.parse(doctor.stdout)).toMatchObject({
    checks: expect.arrayContaining([expect.objectContaining({ name: 'ledger', status: 'ok' })]) as unknown,
  });
  expect([away.code, history.code]).toEqual([4, 4]);
  traces = await readTraces(address);
  if (process.platform === 'linux') {
    serverArguments = readFileSync(`/proc/${readServerNote(home)?.pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  }
  up.signal('SIGTERM');
  const { stdout, stderr } = await up.ended;
  output += stdout + stderr;
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await stopEverything();
  await receiver.close();
  await simulator.close();
  await postgres.stop();
  removeHome(home);
}, 60_000);

/** Where a text stands in what Temporal keeps, without the positions in histories. */
function placesOf(text: string): string[] {
  const hits = [...traces.payloads, ...traces.texts].filter((kept) => kept.text.includes(text));
  return [...new Set(hits.map(({ where }) => where.replace(/\.\d+/g, '')))].sort();
}

describe('what Temporal keeps of cases, watches, bulk jobs, cleanups, policies and notifications', () => {
  it('was looked for in all of them, where ids stand in payloads', () => {
    expect(traces.workflowIds.map((id) => id.split('/')[0])).toEqual(
      expect.arrayContaining(
        ['cancel', 'watch', 'bulk', 'notify', 'enforcement'].map((kind) => expect.stringContaining(kind) as unknown),
      ),
    );
    for (const id of SESSIONS.slice(0, 3)) expect(traces.payloads.some(({ text }) => text.includes(id))).toBe(true);
    expect(traces.texts.some(({ where }) => /[fF]ailure\..*message$/.test(where))).toBe(true);
  });

  it('has no message of a session, no agent’s name and no creator in it', () => {
    for (const text of [planted.message, planted.agentName, planted.creator]) {
      expect(placesOf(text)).toEqual([]);
      expect(placesOf(text.split(' ').at(-1) ?? text)).toEqual([]);
    }
  });

  it('has a person’s reason nowhere but in what cases, watches and bulk jobs return', () => {
    const places = new Set(placesOf(planted.reason).map((place) => place.replace(/^(\w+)\/[^.]+\./, '$1 ')));
    const returned = ['activityTaskCompleted', 'workflowExecutionCompleted'].flatMap((event) =>
      ['bulk', 'cancel', 'watch'].map((kind) => `${kind} events.${event}EventAttributes.result.payloads`),
    );
    expect([...places].sort()).toEqual(returned.sort());
  });

  it('I7: has no secret in it', () => {
    for (const secret of [apiKey, postgres.password, hookSecret.replace('whsec_', '')])
      expect(placesOf(secret)).toEqual([]);
  });
});

describe('secrets in files', () => {
  it('work for the ledger and the key, and show in no output, log, error or check', () => {
    expect(output).toContain('curfew');
    expect(output).toMatch(/127\.0\.0\.1:\d+\/test_[0-9a-f]+/);
    for (const secret of [apiKey, postgres.password, hookSecret.replace('whsec_', '')])
      expect(output).not.toContain(secret);
  });

  it('are no arguments of the processes that Curfew starts', () => {
    if (process.platform !== 'linux') return;
    expect(serverArguments).toContain('start-dev');
    for (const secret of [apiKey, postgres.password, hookSecret]) expect(serverArguments).not.toContain(secret);
    expect(serverArguments).not.toMatch(/postgres:|sk-|whsec/);
  });
});
