import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import type { OrderView } from '../../src/adapters/ledger/results.js';
import { homePaths } from '../../src/platform/home.js';
import { newSecret } from '../notify/rules.js';
import { runCurfew, settingsFor, startReady, stopEverything, type CurfewProcess } from '../support/curfew-process.js';
import { startEchoServer, type EchoServer } from './echo-server.js';
import { makeHome, removeHome, until } from '../support/embedded-server.js';
import { contradictions } from '../support/oracle.js';
import { startReceiver, type Receiver } from '../support/receiver.js';
import { filesIn, formsOf } from './secret-search.js';
import { allOrders, usingLedger } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { readTraces, type TemporalTraces } from './temporal-traces.js';

/** Everything is rotated so many times. */
const ROTATIONS = 3;
/** Turns that come over the limit with each. */
const WAVE = 25;
const LIMIT_MS = 45 * 60_000;
/** The first wave is over its limit so long after the start, and the others one after the other, ms. */
const BEGINS_MS = 15_000;
const APART_MS = 15_000;
/** A hang limit, ms: until each list was answered with the key ten times, the fleet is not seen. */
const LONG_MS = 5 * 60_000;
/** What each wave is ordered with, by a person: not a secret, and known to be kept. */
const marker = randomBytes(12).toString('hex');

const secretWord = (): string => randomBytes(24).toString('hex');
const apiKeys = Array.from({ length: ROTATIONS + 1 }, () => `sk-${secretWord()}`);
const payloadKeys = Array.from({ length: ROTATIONS + 1 }, (_, index) => ({
  id: `k${index}`,
  key: randomBytes(32).toString('base64'),
}));
const hookSecrets = Array.from({ length: ROTATIONS + 1 }, newSecret);

let home: string;
let simulator: Simulator;
let echo: EchoServer;
let receiver: Receiver;
let orders: OrderView[];
let traces: TemporalTraces;
/** Everything that was written, by its name: output, logs, files, messages. */
const written = new Map<string, string>();
const secretFiles = { apiKey: '', payloadKeys: '', hook: '' };

/** As a deployment does it: never half a file. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The newest comes first; the others are there for what was written with them. */
const putPayloadKeys = (newest: number): void =>
  replace(
    secretFiles.payloadKeys,
    payloadKeys
      .slice(0, newest + 1)
      .reverse()
      .map(({ id, key }) => `${id}: ${key}`)
      .join('\n'),
  );

const POLICIES = (hookUrl: string): string => `version: 1
policies:
  - name: no-all-nighters
    match: { agents: ["agent_night"] }
    limits: { max_runtime: ${LIMIT_MS / 60_000}m }
    mode: enforce
    caps: { max_cancels: 1000000, max_percent: 100, per: 1h }
    notify: [audit]
notify:
  audit: { webhook: { url: "${hookUrl}", secret_file: ${secretFiles.hook} } }
`;

const wave = (number: number): string[] => Array.from({ length: WAVE }, (_, index) => `sess_${number}_${index}`);

/** They are there from the start: a turn that is first seen later counts from then. */
function addWave(number: number): void {
  const dueInMs = BEGINS_MS + number * APART_MS;
  for (const id of wave(number)) {
    simulator.world.addSession({
      ...{ agent: 'agent_night', id, turnAge: LIMIT_MS - dueInMs },
      faults: [{ fault: 'failed-to-abort', times: 2, probability: 0.5 }],
    });
  }
  simulator.world.addSession({ agent: 'agent_day', id: `sess_${number}_hand`, turnAge: '1h' });
}

const ended = (number: number): number =>
  wave(number).filter((id) => simulator.world.session(id).state === 'failed').length;

/** All at once, in the middle of a wave. The first time the vendor revokes the old key before the file has the new one. */
async function rotate(number: number): Promise<void> {
  const [before = '', next = ''] = [apiKeys[number - 1], apiKeys[number]];
  if (number === 1) simulator.acceptKeys(next);
  else simulator.acceptKeys(before, next);
  putPayloadKeys(number);
  replace(secretFiles.hook, hookSecrets[number] ?? '');
  if (number === 1) await sleep(1_500);
  replace(secretFiles.apiKey, next);
  echo.again();
  if (number > 1) await sleep(1_500);
  simulator.acceptKeys(next);
}

const isOver = (): Promise<boolean> =>
  usingLedger(home, async (ledger) => {
    orders = await allOrders(ledger);
    const wanted = (ROTATIONS + 1) * (WAVE + 1);
    return orders.length >= wanted && orders.every(({ decidedAtMs }) => decidedAtMs !== null);
  });

beforeAll(async () => {
  home = makeHome();
  const folder = dirname(home);
  for (const name of ['apiKey', 'payloadKeys', 'hook'] as const) secretFiles[name] = join(folder, `secret-${name}`);
  [simulator, receiver] = await Promise.all([
    startSimulator({ apiKey: apiKeys[0] ?? '', slots: 1_000 }),
    startReceiver(),
  ]);
  echo = await startEchoServer(simulator.url);
  simulator.world.addAgent({ id: 'agent_night' });
  simulator.world.addAgent({ id: 'agent_day' });
  for (let number = 0; number <= ROTATIONS; number += 1) addWave(number);
  replace(secretFiles.apiKey, apiKeys[0] ?? '');
  replace(secretFiles.hook, hookSecrets[0] ?? '');
  putPayloadKeys(0);
  const policies = join(folder, 'curfew.yaml');
  writeFileSync(policies, POLICIES(`${receiver.url}/hook`));
  const settings = await settingsFor(folder, {
    GUMLOOP_BASE_URL: echo.url,
    GUMLOOP_API_KEY_FILE: secretFiles.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_CODEC_KEYS_FILE: secretFiles.payloadKeys,
    CURFEW_LOG: 'debug',
    CURFEW_SCAN_INTERVAL: '1s',
    CURFEW_RETRY_CAP: '1s',
    CURFEW_KEY_RETRY: '1s',
  });
  const { process: up, ready } = await startReady(['up', policies], settings);
  for (let number = 0; number <= ROTATIONS; number += 1) {
    const ordered = runCurfew(['cancel', `sess_${number}_hand`, '--reason', marker], settings);
    await until(() => ended(number) > WAVE / 5, LONG_MS);
    if (number < ROTATIONS) await rotate(number + 1);
    const { stdout, stderr } = await ordered;
    written.set(`cancel ${number}`, stdout + stderr);
  }
  await until(isOver, LONG_MS);
  const told = (id: string): boolean => receiver.received.some(({ body }) => body.includes(`"${id}"`));
  await until(() => orders.every(({ result }) => result.reason.policy === null || told(result.sessionId)), LONG_MS);
  traces = await readTraces(ready.temporal.address);
  await leave(up);
  const doctor = await runCurfew(['doctor'], settings);
  written.set('doctor', doctor.stdout + doctor.stderr);
  const secrets = new Set(Object.values(secretFiles));
  for (const file of filesIn(folder)) {
    if (!secrets.has(file)) written.set(`file ${file}`, readFileSync(file, 'latin1'));
  }
  for (const [index, { headers, body }] of receiver.received.entries()) {
    written.set(`message ${index}`, JSON.stringify(headers) + body);
  }
  written.set('Temporal', JSON.stringify(traces));
}, 2 * OBTAIN_LIMIT_MS);

async function leave(up: CurfewProcess): Promise<void> {
  up.signal('SIGTERM');
  const { stdout, stderr } = await up.ended;
  written.set('up: stdout', stdout);
  written.set('up: stderr', stderr);
}

afterAll(async () => {
  await stopEverything();
  await echo.close();
  await receiver.close();
  await simulator.close();
  removeHome(home);
}, 60_000);

const placesOf = (text: string): string[] =>
  [...written].filter(([, content]) => formsOf(text).some((form) => content.includes(form))).map(([name]) => name);

describe('keys of payloads, of the vendor and of notifications, rotated while turns are being ended', () => {
  it('lose no order: each turn over its limit ended once, and every outcome is as the vendor knows it', () => {
    const truth = simulator.world.truth();
    const results = orders.map(({ result }) => result);
    expect(new Set(results.map(({ sessionId }) => sessionId))).toEqual(new Set(Object.keys(truth.sessions)));
    expect(results.filter(({ outcome }) => outcome !== 'cancelled')).toEqual([]);
    // What the echo answers never arrives, as if its sender had died before.
    const { I2, I3, I4 } = contradictions({ orders: results, truth, reads: [], kills: echo.echoes() });
    expect([...I2, ...I3, ...I4]).toEqual([]);
  });

  it('lose no message: each end is told, signed with a secret that was in force, the last with the last', () => {
    const signers = receiver.received.map(({ headers, body }) =>
      hookSecrets.findIndex((secret) => {
        try {
          new Webhook(secret).verify(body, headers as Record<string, string>);
          return true;
        } catch {
          return false;
        }
      }),
    );
    expect(signers).not.toContain(-1);
    expect(signers).toEqual(signers.toSorted((a, b) => a - b));
    expect(signers.at(-1)).toBe(ROTATIONS);
    const told = receiver.received.map(({ body }) => body).join('\n');
    const policyOrders = orders.filter(({ result }) => result.reason.policy !== null);
    expect(policyOrders.filter(({ result }) => !told.includes(`"${result.sessionId}"`))).toEqual([]);
  });

  it('use each key from its moment on, for everything that Temporal keeps', () => {
    const ours = traces.payloads.filter(({ searchAttribute }) => !searchAttribute);
    expect(new Set(ours.map(({ encoding }) => encoding))).toEqual(new Set(['binary/encrypted']));
    expect(new Set(ours.map(({ keyId }) => keyId))).toEqual(new Set(payloadKeys.map(({ id }) => id)));
  });

  it('I7: are in nothing that Curfew writes, the old ones as little as the new', () => {
    expect(echo.echoes()).toBeGreaterThan(30);
    const secrets = [
      ...apiKeys.map((key) => key.slice('sk-'.length)),
      ...hookSecrets.map((secret) => secret.slice('whsec_'.length)),
      ...payloadKeys.map(({ key }) => key),
    ];
    for (const secret of secrets) {
      expect(placesOf(secret)).toEqual([]);
      expect(placesOf(secret.slice(0, secret.length / 2))).toEqual([]);
    }
    for (const { key } of payloadKeys) {
      const bytes = Buffer.from(key, 'base64');
      expect(placesOf(bytes.toString('latin1'))).toEqual([]);
      expect(placesOf(bytes.toString('hex'))).toEqual([]);
    }
  });

  it('would have been found: what is kept is found where it is', () => {
    expect(placesOf(marker).join('\n')).toContain(homePaths(home).ledger);
    expect(written.get('up: stderr')).toContain('[redacted]');
    expect(written.get('Temporal')).toContain('binary/encrypted');
  });
});
