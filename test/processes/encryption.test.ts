import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { caseWorkflowId } from '../../src/contract.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { newSecret } from '../notify/rules.js';
import {
  runCurfew,
  settingsFor,
  startCurfew,
  startReady,
  stopEverything,
  type CurfewProcess,
  type Ready,
  type Settings,
} from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { startReceiver, type Receiver } from '../support/receiver.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { readTraces, type KeptPayload, type TemporalTraces } from '../support/temporal-traces.js';
import { setTheScene, tellWholeStory, writePolicyFile, type Planted } from '../support/whole-story.js';

const run = promisify(execFile);
/** Everything starts anew for each command on a busy machine; a hang limit. */
const LIMIT_MS = 240_000;

const word = (): string => randomBytes(12).toString('hex');
const planted: Planted = { message: word(), agentName: word(), creator: `${word()}@example.test`, reason: word() };
const [k1, k2, k3] = [1, 2, 3].map((n) => `k${n}: ${randomBytes(32).toString('base64')}`);

let home: string;
let keyFile: string;
let settings: Settings;
let simulator: Simulator;
let receiver: Receiver;
let worker: CurfewProcess;
let ready: Ready;
let traces: TemporalTraces;

/** As a deployment does it: never half a file. */
function writeKeys(...lines: (string | undefined)[]): void {
  writeFileSync(`${keyFile}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  renameSync(`${keyFile}.new`, keyFile);
}

beforeAll(async () => {
  home = makeHome();
  keyFile = join(dirname(home), 'codec-keys');
  writeKeys(k1);
  [simulator, receiver] = await Promise.all([startSimulator(), startReceiver()]);
  setTheScene(simulator, planted);
  for (const id of ['sess_rotated', 'sess_locked'])
    simulator.world.addSession({ agent: 'agent_hand', id, turnAge: '1h' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_CODEC_KEYS_FILE: keyFile,
    CURFEW_RETRY_CAP: '1s',
    CURFEW_SCAN_INTERVAL: '1s',
  });
  const file = writePolicyFile(dirname(home), receiver, newSecret());
  ({ process: worker, ready } = await startReady(['up', file], settings));
  await tellWholeStory(simulator, receiver, settings, ready.temporal.address, planted);
  traces = await readTraces(ready.temporal.address);
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await stopEverything();
  await receiver.close();
  await simulator.close();
  removeHome(home);
}, 60_000);

/** Those of one session's case, as Temporal keeps them now. */
const payloadsOf = async (sessionId: string): Promise<KeptPayload[]> =>
  (await readTraces(ready.temporal.address)).payloads.filter(({ where }) =>
    where.startsWith(caseWorkflowId(sessionId)),
  );

const outcomeOf = async (sessionId: string): Promise<unknown> => {
  const { stdout } = await runCurfew(['cases', sessionId, '--json'], settings);
  return JSON.parse(stdout) as unknown;
};

describe('with CURFEW_CODEC_KEYS_FILE', () => {
  it('what cases, watches, bulk jobs, cleanups, policies and notices keep in Temporal is encrypted', () => {
    // What someone else's code started is as that code sent it.
    const ours = traces.payloads.filter(
      ({ searchAttribute, text }) => !searchAttribute && !text.includes('sess_refused'),
    );
    expect(ours.length).toBeGreaterThan(100);
    expect(new Set(ours.map(({ encoding, keyId }) => `${encoding} ${keyId}`))).toEqual(
      new Set(['binary/encrypted k1']),
    );
    expect(ours.filter(({ text }) => /sess_|agent_|json|msg_/.test(text))).toEqual([]);
    expect(traces.payloads.filter(({ text }) => text.includes(planted.reason))).toEqual([]);
  });

  it('the messages of failures are encrypted, those of a refused request of someone’s code among them', () => {
    const failures = traces.texts.filter(({ where }) => /\.(last)?[fF]ailure(\.cause)*\.message$/.test(where));
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.filter(({ text }) => /sess_|HTTP|duration|limits/.test(text))).toEqual([]);
    expect(
      failures.some(({ where, text }) => where.startsWith('watch/sess_refused') && text === 'Encoded failure'),
    ).toBe(true);
  });

  it(
    'the codec server shows them to the Temporal CLI, which else sees none',
    async () => {
      const server = startCurfew(['codec-server', '--port', '0', '--json'], settings);
      await until(() => server.stdout().includes('\n'));
      const { url, keyId } = JSON.parse(server.stdout()) as { url: string; keyId: string };
      expect(keyId).toBe('k1');
      const show = ['workflow', 'show', '--workflow-id', caseWorkflowId('sess_hand'), '--output', 'json'];
      const temporal = async (...more: string[]): Promise<string> =>
        (await run(await temporalBinary(), [...show, '--address', ready.temporal.address, ...more], { maxBuffer: 1e8 }))
          .stdout;
      const inputOf = (history: string): string => {
        const { events } = JSON.parse(history) as {
          events: { workflowExecutionStartedEventAttributes?: { input: { payloads: { data: string }[] } } }[];
        };
        const payload = events[0]?.workflowExecutionStartedEventAttributes?.input.payloads[0];
        return Buffer.from(payload?.data ?? '', 'base64').toString('latin1');
      };
      expect(inputOf(await temporal('--codec-endpoint', url))).toContain('"sessionId":"sess_hand"');
      expect(inputOf(await temporal())).not.toContain('sess_hand');
      server.signal('SIGTERM');
      expect((await server.ended).code).toBe(0);
    },
    LIMIT_MS,
  );

  it(
    'a new first key counts from then on, in the middle of an open case',
    async () => {
      await runCurfew(['pause', '--reason', 'a test'], settings);
      expect((await runCurfew(['cancel', 'sess_rotated'], settings)).code).toBe(0);
      await until(async () => (await payloadsOf('sess_rotated')).length > 2);
      writeKeys(k2, k1);
      await runCurfew(['resume'], settings);
      await until(() => simulator.world.session('sess_rotated').state === 'failed');
      await until(async () => JSON.stringify(await outcomeOf('sess_rotated')).includes('"cancelled"'));
      const used = (await payloadsOf('sess_rotated')).filter(({ searchAttribute }) => !searchAttribute);
      expect(new Set(used.map(({ keyId }) => keyId))).toEqual(new Set(['k1', 'k2']));
    },
    LIMIT_MS,
  );

  it(
    'a case whose key is missing waits, says which, and goes on when the key is back',
    async () => {
      await runCurfew(['pause', '--reason', 'a test'], settings);
      expect((await runCurfew(['cancel', 'sess_locked'], settings)).code).toBe(0);
      await until(async () => (await payloadsOf('sess_locked')).length > 2);
      // A worker that has known the key keeps it in memory, so another one takes over.
      worker.signal('SIGTERM');
      await worker.ended;
      writeKeys(k3);
      ({ process: worker, ready } = await startReady(['up'], settings));
      await runCurfew(['resume'], settings);
      // The log is JSON, with its quotation marks escaped.
      const said =
        /encrypted with the key \\"k2\\", which the file of CURFEW_CODEC_KEYS_FILE does not hold. What needs it waits/;
      await until(() => said.test(worker.stderr()));
      expect(simulator.world.session('sess_locked').state).toBe('processing');

      writeKeys(k3, k2, k1);
      await until(() => simulator.world.session('sess_locked').state === 'failed');
      await until(async () => JSON.stringify(await outcomeOf('sess_locked')).includes('"cancelled"'));
      for (const line of [k1, k2, k3]) expect(worker.stderr()).not.toContain(line?.slice(4, 20));
    },
    LIMIT_MS,
  );

  it(
    'the codec server has nothing to do where it is off',
    async () => {
      const { CURFEW_CODEC_KEYS_FILE: _off, ...without } = settings;
      const { code, stderr } = await runCurfew(['codec-server'], without);
      expect([code, stderr]).toEqual([2, expect.stringContaining('payload encryption is off here')]);
    },
    LIMIT_MS,
  );
});

describe('a file of keys that can’t be used', () => {
  it.each([
    ['is not there', () => join(dirname(home), 'nowhere')],
    ['holds something else', () => join(dirname(home), 'curfew.yaml')],
  ])('that %s stops commands and workers before they start, with exit code 2', async (_, path) => {
    const broken = { ...settings, CURFEW_CODEC_KEYS_FILE: path() };
    for (const args of [['cancel', 'sess_hand'], ['worker'], ['codec-server']]) {
      const { code, stderr } = await runCurfew(args, broken);
      expect([args[0], code, stderr]).toEqual([
        args[0],
        2,
        expect.stringMatching(/^curfew: The keys for Temporal's payloads can't be used: .+\n {2}next: /m),
      ]);
    }
  });
});
