import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { caseWorkflowId } from '../../src/core/contract.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import { newSecret } from '../notify/rules.js';
import { runCurfew, startCurfew } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome, openHome, type MoreSettings, type OwnHome } from '../support/own-home.js';
import { untilSettled } from '../support/standing.js';
import { startReceiver } from '../support/receiver.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { readTraces, type KeptPayload, type TemporalTraces } from './temporal-traces.js';
import { setTheScene, tellWholeStory, writePolicyFile, type Planted } from './whole-story.js';

const run = promisify(execFile);
/** Everything starts anew for each command on a busy machine; a hang limit. */
const LIMIT_MS = 240_000;

const word = (): string => randomBytes(12).toString('hex');
const planted: Planted = { message: word(), agentName: word(), creator: `${word()}@example.test`, reason: word() };
const [k1, k2, k3] = [1, 2, 3].map((n) => `k${n}: ${randomBytes(32).toString('base64')}`);

const keyFileIn = (folder: string): string => join(folder, 'codec-keys');
const withKeys: MoreSettings = (folder) => ({
  CURFEW_CODEC_KEYS_FILE: keyFileIn(folder),
  CURFEW_RETRY_CAP: '1s',
  CURFEW_SCAN_INTERVAL: '1s',
});

/** As a deployment does it: never half a file. */
function writeKeys({ folder }: OwnHome, ...lines: (string | undefined)[]): void {
  const path = keyFileIn(folder);
  writeFileSync(`${path}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Of the server that this home has started. */
function addressIn({ home }: OwnHome): string {
  const address = readServerNote(home)?.address;
  if (address === undefined) throw new Error('No Temporal server is noted in the home.');
  return address;
}

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

/** Everything that Curfew does, with the key k1. */
async function wholeStory(): Promise<{ readonly own: OwnHome; readonly traces: TemporalTraces }> {
  const own = await openHome(withKeys);
  writeKeys(own, k1);
  setTheScene(own.simulator, planted);
  const receiver = await startReceiver();
  try {
    await own.up(writePolicyFile(own.folder, receiver, newSecret()));
    await tellWholeStory(own.simulator, receiver, own.settings, addressIn(own), planted);
    return { own, traces: await readTraces(addressIn(own)) };
  } finally {
    await receiver.close();
  }
}

/** Those of one session's case, as Temporal keeps them now. */
const payloadsOf = async (own: OwnHome, sessionId: string): Promise<KeptPayload[]> =>
  (await readTraces(addressIn(own))).payloads.filter(({ where }) => where.startsWith(caseWorkflowId(sessionId)));

/** Orders the end of a session while all is paused, and waits until Temporal keeps something of its case. */
async function orderWhilePaused(own: OwnHome, sessionId: string): Promise<void> {
  own.simulator.world.addSession({ agent: 'agent_test', id: sessionId, turnAge: '1h' });
  await own.curfew('pause', '--reason', 'a test');
  await own.curfew('cancel', sessionId);
  await until(async () => (await payloadsOf(own, sessionId)).length > 2);
}

async function untilCancelled(own: OwnHome, sessionId: string): Promise<void> {
  await until(() => own.simulator.world.session(sessionId).state === 'failed');
  const [result] = await own.withLedger(untilSettled);
  expect(result).toMatchObject({ sessionId, outcome: 'cancelled' });
}

describe('with CURFEW_CODEC_KEYS_FILE', () => {
  let story: ReturnType<typeof wholeStory>;
  // The tests wait for it, each for itself, and those that have a home of their own do not.
  beforeAll(() => {
    story = wholeStory();
    story.catch(() => {});
  });

  // First, so that they begin at once: not all tests run at a time.
  it.concurrent(
    'a new first key counts from then on, in the middle of an open case',
    inOwnHome(withKeys, async (own) => {
      writeKeys(own, k1);
      await own.up();
      await orderWhilePaused(own, 'sess_rotated');
      writeKeys(own, k2, k1);
      await own.curfew('resume');
      await untilCancelled(own, 'sess_rotated');
      const used = (await payloadsOf(own, 'sess_rotated')).filter(({ searchAttribute }) => !searchAttribute);
      expect(new Set(used.map(({ keyId }) => keyId))).toEqual(new Set(['k1', 'k2']));
    }),
    LIMIT_MS,
  );

  it.concurrent(
    'a case whose key is missing waits, says which, and goes on when the key is back',
    inOwnHome(withKeys, async (own) => {
      writeKeys(own, k2, k1);
      const first = await own.up();
      await orderWhilePaused(own, 'sess_locked');
      // A worker that has known the key keeps it in memory, so another one takes over.
      first.signal('SIGTERM');
      await first.ended;
      writeKeys(own, k3);
      const worker = await own.up();
      await own.curfew('resume');
      // The log is JSON, with its quotation marks escaped.
      const said =
        /encrypted with the key \\"k2\\", which the file of CURFEW_CODEC_KEYS_FILE does not hold. What needs it waits/;
      await until(() => said.test(worker.stderr()));
      expect(own.simulator.world.session('sess_locked').state).toBe('processing');

      writeKeys(own, k3, k2, k1);
      await untilCancelled(own, 'sess_locked');
      for (const line of [k1, k2, k3]) expect(worker.stderr()).not.toContain(line?.slice(4, 20));
    }),
    LIMIT_MS,
  );

  it.concurrent(
    'what cases, watches, bulk jobs, cleanups, policies and notices keep in Temporal is encrypted',
    async () => {
      const { traces } = await story;
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
    },
    LIMIT_MS,
  );

  it.concurrent(
    'the messages of failures are encrypted, those of a refused request of someone’s code among them',
    async () => {
      const { traces } = await story;
      const failures = traces.texts.filter(({ where }) => /\.(last)?[fF]ailure(\.cause)*\.message$/.test(where));
      expect(failures.length).toBeGreaterThan(0);
      expect(failures.filter(({ text }) => /sess_|HTTP|duration|limits/.test(text))).toEqual([]);
      expect(
        failures.some(({ where, text }) => where.startsWith('watch/sess_refused') && text === 'Encoded failure'),
      ).toBe(true);
    },
    LIMIT_MS,
  );

  it.concurrent(
    'the codec server shows them to the Temporal CLI, which else sees none',
    async () => {
      const { own } = await story;
      const address = addressIn(own);
      const server = startCurfew(['codec-server', '--port', '0', '--json'], own.settings);
      await until(() => server.stdout().includes('\n'));
      const { url, keyId } = JSON.parse(server.stdout()) as { url: string; keyId: string };
      expect(keyId).toBe('k1');
      const show = ['workflow', 'show', '--workflow-id', caseWorkflowId('sess_hand'), '--output', 'json'];
      const temporal = async (...more: string[]): Promise<string> =>
        (await run(await temporalBinary(), [...show, '--address', address, ...more], { maxBuffer: 1e8 })).stdout;
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

  it.concurrent(
    'the codec server has nothing to do where it is off',
    inOwnHome({}, async (own) => {
      const { code, stderr } = await own.run('codec-server');
      expect([code, stderr]).toEqual([2, expect.stringContaining('Payload encryption is off here')]);
    }),
    LIMIT_MS,
  );

  it.concurrent.each([
    ['is not there', 'nowhere'],
    ['holds something else', 'curfew.yaml'],
  ])(
    'a file of keys that %s stops commands and workers before they start, with exit code 2',
    async (_, file) => {
      const { own } = await story;
      const broken = { ...own.settings, CURFEW_CODEC_KEYS_FILE: join(own.folder, file) };
      const commands = [['cancel', 'sess_hand'], ['worker'], ['codec-server']];
      const ends = await Promise.all(commands.map((args) => runCurfew(args, broken)));
      for (const { code, stderr } of ends) {
        expect([code, stderr]).toEqual([
          2,
          expect.stringMatching(/^curfew: The keys for Temporal's payloads can't be used: .+\n {2}next: /m),
        ]);
      }
    },
    LIMIT_MS,
  );
});
