import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readHold, type HoldMark } from '../../src/adapters/ledger/hold-mark.js';
import { startCurfew } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome, type OwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 4 * 60_000;
/** One that waited for the end of the hold would take a minute, ms. */
const LEAVES_WITHIN_MS = 45_000;
const MINUTE = 60_000;
/** What the vendor asks for. */
const RETRY_AFTER_S = 3_600;

const HELD = 'requests are held until';

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

const POLICY = `version: 1
policies:
  - name: no-long-turns
    match: { agents: ["*"] }
    limits: { max_runtime: 1h }
    mode: enforce
`;

/** Two agents with a session each that breaks the policy; a list of one is turned away for an hour, once. */
const story = (tell: (own: OwnHome, policy: string) => Promise<void>) =>
  inOwnHome({ CURFEW_HTTP_ADDRESS: '127.0.0.1:0', CURFEW_SCAN_INTERVAL: '2s' }, async (own) => {
    const { world } = own.simulator;
    world.addAgent({ id: 'agent_throttled' });
    world.addFaults({ agentId: 'agent_throttled' }, [
      { fault: 'rate-limited', on: 'list', times: 1, retryAfterSeconds: RETRY_AFTER_S },
    ]);
    world.addSession({ agent: 'agent_throttled', id: 'sess_a', turnAge: '3h', runsFor: null });
    world.addSession({ agent: 'agent_test', id: 'sess_b', turnAge: '3h', runsFor: null });
    const policy = join(own.folder, 'policy.yaml');
    writeFileSync(policy, POLICY);
    await tell(own, policy);
  });

const requests = ({ simulator }: OwnHome): number =>
  Object.values(simulator.world.requestCounts().requests).reduce((sum, count) => sum + count, 0);

const holdOf = async (own: OwnHome): Promise<(HoldMark & { until: string }) | null> =>
  (await own.curfew<{ requestsHeld: (HoldMark & { until: string }) | null }>('status')).requestsHeld;

describe('a vendor that answers one list with 429 and Retry-After of an hour', () => {
  it.concurrent(
    'holds a worker for a minute, which is told wherever one looks, and a person’s order asks earlier',
    story(async (own, policy) => {
      const worker = await own.up(policy);
      const { http } = JSON.parse(worker.stdout()) as { http: string };
      await own.withLedger((ledger) => until(async () => (await readHold(ledger)) !== null));
      const hold = await holdOf(own);
      const left = Date.parse(hold?.until ?? '') - Date.now();
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(MINUTE);
      expect(hold).toMatchObject({ status: 429, operation: 'listSessions', retryAfterMs: RETRY_AFTER_S * 1_000 });
      const before = requests(own);

      expect(worker.stderr()).toContain(HELD);
      expect(await (await fetch(`${http}/readyz`)).json()).toMatchObject({
        status: 'ready',
        notes: [expect.stringContaining(HELD)],
      });
      expect(await (await fetch(`${http}/metrics`)).text()).toMatch(/^curfew_requests_held 1$/m);
      expect(await own.curfew('cases')).toMatchObject({ requestsHeld: { operation: 'listSessions' } });
      const status = (await own.run('status')).stdout;
      expect(status).toMatch(/^held +Requests are held until .* 429/m);
      expect(status).not.toContain('NO WORKER SCANS');
      expect(requests(own)).toBe(before);
      // It asks itself whether the API answers, for the teams, and for the agents.
      const { checks } = JSON.parse((await own.run('doctor', '--json')).stdout) as { checks: { name: string }[] };
      expect(checks.find(({ name }) => name === 'requests')).toMatchObject({
        status: 'warning',
        says: expect.stringContaining(HELD),
      });
      expect(requests(own)).toBe(before + 3);

      // Too soon after the 429 it waits like all; asked for again some seconds later, it goes.
      await own.curfew('cancel', 'sess_b');
      await until(() => Date.now() > Date.parse(hold?.until ?? '') - MINUTE + 12_000);
      await own.curfew('cases', 'retry', 'sess_b').catch(() => undefined);
      await own.withLedger((ledger) =>
        until(async () => (await ledger.orders.views({ openOnly: true, limit: 10 })).length === 0),
      );
      expect(Date.now()).toBeLessThan(Date.parse(hold?.until ?? ''));
      expect(own.simulator.world.truth('sess_b').cancels).toHaveLength(1);
      await until(() => own.simulator.world.truth('sess_a').cancels.length === 1);
      expect(await holdOf(own)).toBeNull();
      const { stdout: events } = await own.run('history', '--events', '--since', '1h', '--format', 'csv');
      expect(events.match(/requests-held/g)).toHaveLength(1);
      expect(events.match(/requests-released/g)).toHaveLength(1);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent.each(['SIGTERM', 'SIGINT'] as const)(
    'keeps no worker from stopping (%s), nor its orders from the next one',
    (signal) =>
      story(async (own, policy) => {
        const worker = await own.up(policy);
        await worker.says(HELD);
        await own.curfew('cancel', 'sess_b');
        const begun = performance.now();
        worker.signal(signal);
        const { code, stderr } = await worker.ended;
        expect(performance.now() - begun).toBeLessThan(LEAVES_WITHIN_MS);
        expect(code).toBe(0);
        expect(await holdOf(own)).toBeNull();
        expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
        await own.up();
        await until(() => own.simulator.world.truth('sess_b').cancels.length === 1);
      })(),
    STORY_LIMIT_MS,
  );

  it.concurrent.each([
    ['bulk', 'plan', '--all'],
    ['policy', 'plan', 'policy.yaml'],
  ])(
    'has `%s %s` say what it waits for, until Ctrl-C',
    (...args) =>
      story(async (own) => {
        // A plan is kept in the ledger that a worker made.
        if (args[0] === 'bulk') {
          const worker = await own.up();
          worker.signal('SIGTERM');
          await worker.ended;
        }
        const plan = startCurfew(args, own.settings);
        await plan.says('Requests are held until');
        const begun = performance.now();
        plan.signal('SIGINT');
        const { code, stderr } = await plan.ended;
        expect(performance.now() - begun).toBeLessThan(LEAVES_WITHIN_MS);
        expect(code).toBe(130);
        expect(stderr).toMatch(/^Interrupted: /m);
        expect(stderr).toMatch(/^Waiting; Ctrl-C gives up\. Requests are held until .* asked to wait 3600 s\./m);
      })(),
    STORY_LIMIT_MS,
  );
});
