import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { runCurfew, startReady, type Ended } from '../support/curfew-process.js';
import { until } from '../support/embedded-server.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { allOrders } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** Everything starts anew for each command on a busy machine; a hang limit. */
const STORY_LIMIT_MS = 300_000;

let own: OwnHome;
let folder: string;

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const FIRST = `version: 1
policies:
  - name: runaways
    match: { agents: ["support-*"] }
    limits: { max_runtime: 45m }
    mode: observe
  - name: long-waits
    match: { agents: ["nobody-has-this-name"] }
    limits: { max_queue_time: 2h }
`;
const SECOND = FIRST.replace('mode: observe', 'mode: enforce\n    caps: { max_cancels: 1 }');

const curfew = (...args: string[]): Promise<Ended> => own.run(...args);
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await curfew(...args, '--json');
  if (code !== 0) throw new Error(`curfew ${args.join(' ')} ended with ${code}:\n${stderr}`);
  // One document, and nothing else.
  return JSON.parse(stdout) as Record<string, unknown>;
}
const cancelsReceived = (): number => own.simulator.world.truth().cancels.length;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-policies-'));
  own = await openHome({}, { agents: [] });
  const { simulator } = own;
  simulator.world.addAgent({ id: 'agent_support', name: 'support-triage' });
  for (const [id, turnAge] of [
    ['sess_old', '2h'],
    ['sess_older', '3h'],
    ['sess_young', '5m'],
    ['sess_exempt', '2h'],
  ] as const) {
    simulator.world.addSession({ agent: 'agent_support', id, turnAge });
  }
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await own.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('before any Curfew has run', () => {
  it.each([
    ['policy apply', () => ['policy', 'apply', file('first.yaml', FIRST), '--yes']],
    ['policy resume', () => ['policy', 'resume', 'runaways']],
    ['explain', () => ['explain', 'sess_old']],
    ['status', () => ['status']],
    ['history', () => ['history']],
  ])('`curfew %s` says how to start one', async (_name, args) => {
    const { code, stderr } = await curfew(...args());
    expect(code).toBe(ExitCode.unreachable);
    expect(stderr).toContain('curfew up');
  });

  it('`policy plan` needs no ledger', async () => {
    const plan = await json('policy', 'plan', file('first.yaml', FIRST));
    expect(plan).toMatchObject({
      policies: [
        { name: 'runaways', mode: 'observe', matching: 4, endNow: 3 },
        { name: 'long-waits', matching: 0 },
      ],
      coverage: { agents: 1, complete: true, notFound: ['nobody-has-this-name'], live: { processing: 4, queued: 0 } },
    });
    expect(cancelsReceived()).toBe(0);
  });

  it('`policy plan` says that the API is away', async () => {
    const away = { ...own.settings, GUMLOOP_BASE_URL: 'http://127.0.0.1:9/api/v1' };
    const { code, stderr } = await runCurfew(['policy', 'plan', file('first.yaml', FIRST)], away);
    expect(code).toBe(ExitCode.unreachable);
    expect(stderr).toMatch(/^curfew: .+\n {2}next: .+\n$/);
  });

  it.each([
    ['policy apply', (path: string) => ['policy', 'apply', path, '--yes']],
    ['policy plan', (path: string) => ['policy', 'plan', path]],
    ['up', (path: string) => ['up', path]],
    ['explain --policies', (path: string) => ['explain', 'sess_old', '--policies', path]],
  ])('`curfew %s` tells a broken file by its line, before anything is started', async (_name, args) => {
    const path = file('broken.yaml', FIRST.replace('max_runtime', 'max_runtme'));
    const { code, stderr } = await curfew(...args(path));
    expect(code).toBe(ExitCode.usage);
    expect(stderr).toContain('broken.yaml:5:');
    expect(stderr).toContain('max_runtime');
    expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
  });

  it('a file that is not there is wrong usage', async () => {
    const { code, stderr } = await curfew('policy', 'apply', join(folder, 'missing.yaml'));
    expect(code).toBe(ExitCode.usage);
    expect(stderr).toContain('missing.yaml');
  });
});

it(
  'a policy goes from file to force, and all that it does can be seen',
  async () => {
    const first = file('first.yaml', FIRST);
    const second = file('second.yaml', SECOND);
    const exemption = ['exempt', 'sess_exempt', '--for', '2h', '--reason', 'month-end close'];

    // In force with the start; the announcement says so.
    const spent = `${FIRST}exempt: [{ session: sess_gone, until: 2026-01-01T00:00:00Z, reason: over }]\n`;
    const up = await startReady(['up', file('first.yaml', spent)], own.settings);
    expect(up.process.stderr()).toMatch(/first\.yaml:\d+:\d+: warning: this exemption is over/);
    expect(up.ready).toMatchObject({
      policies: { version: 1, enforce: 0, observe: 2, changed: true, changedFrom: null },
    });
    await curfew(...exemption);

    // Observing: it says what it would end, and ends nothing.
    await own.withLedger(({ history }) =>
      until(async () => {
        for await (const page of history.events({}))
          if (page.some(({ event }) => event.kind === 'would-end')) return true;
        return false;
      }),
    );
    const status = await json('status');
    const { nearest } = status['live'] as { nearest: { verdict: { would: boolean } }[] };
    expect(nearest.some(({ verdict }) => verdict.would)).toBe(true);
    expect(status).toMatchObject({
      policies: { version: 1, file: first, enforce: 0, observe: 2 },
      pause: { paused: false },
      breakers: [],
      cases: { openOrders: 0, stuck: [] },
      coverage: { agents: 1, notFound: ['nobody-has-this-name'], scanning: true },
      live: { count: 4 },
    });
    expect(cancelsReceived()).toBe(0);

    // The same again is the same version; another one needs a person, or --yes.
    expect(await json('policy', 'apply', first)).toMatchObject({ version: 1, changed: false });
    const unasked = await curfew('policy', 'apply', second);
    expect(unasked.code).toBe(ExitCode.refused);
    expect(unasked.stderr).toContain('BEGINS TO END TURNS');
    expect(unasked.stderr).toContain('--yes');
    expect(await json('policy', 'plan', second)).toMatchObject({
      policies: [{ name: 'runaways', mode: 'enforce', endNow: 2, exempt: 1, capped: { after: 1, of: 2 } }, {}],
    });
    expect(await json('policy', 'apply', second, '--yes')).toMatchObject({
      version: 2,
      changed: true,
      difference: { policies: [{ name: 'runaways', change: 'changed', mode: { from: 'observe', to: 'enforce' } }] },
    });

    // It ends one turn, then its cap stops it.
    await own.withLedger(({ breakers }) => until(async () => (await breakers.open()).length === 1));
    expect(await json('status')).toMatchObject({
      breakers: [{ policy: 'runaways', cap: 'max_cancels', capValue: 1, taken: 1 }],
    });
    await until(() => cancelsReceived() > 0);
    expect(cancelsReceived()).toBe(1);

    const plain = await curfew('explain', 'sess_exempt');
    expect(plain.code).toBe(ExitCode.done);
    expect(plain.stdout).toMatch(/^Nothing will end this session before .* it is exempt/);
    expect(await json('explain', 'sess_young')).toMatchObject({
      sessionId: 'sess_young',
      seen: { from: 'read', state: 'processing', agentName: 'support-triage' },
      policyVersion: 2,
      verdicts: [
        { policy: 'runaways', kind: 'keep', limits: [{ limit: 'max_runtime', limitValue: 2_700_000 }] },
        { policy: 'long-waits', kind: 'not-matching' },
      ],
      exemptUntil: null,
      orders: [],
    });
    // Without a key it goes by the ledger, and says so.
    const { GUMLOOP_API_KEY: _none, ...withoutKey } = own.settings;
    const remembered = await runCurfew(['explain', 'sess_young', '--json'], withoutKey);
    expect(JSON.parse(remembered.stdout)).toMatchObject({ seen: { from: 'ledger', state: 'processing' } });

    // Closing the breaker lets it go on; the name is checked.
    const misspelt = await curfew('policy', 'resume', 'runaway');
    expect(misspelt.code).toBe(ExitCode.usage);
    expect(misspelt.stderr).toContain('Did you mean runaways?');
    expect(await json('policy', 'resume', 'runaways')).toMatchObject({ closed: true, tripped: { taken: 1 } });
    expect((await json('policy', 'resume', 'long-waits'))['closed']).toBe(false);
    // A turn that a cap has spared is ordered again after a minute; the test's own limit ends a wait in vain.
    while (cancelsReceived() < 2) await sleep(200);

    // Who ended what, when, why, by which version.
    const ended = (): Promise<Ended> => curfew('history', '--policy', 'runaways', '--json');
    await own.withLedger((ledger) =>
      until(async () => (await allOrders(ledger)).filter(({ result }) => result.outcome === 'cancelled').length === 2),
    );
    const orders = (await ended()).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { sessionId: string; outcome: string; reason: object });
    const cancelled = orders.filter(({ outcome }) => outcome === 'cancelled');
    expect(cancelled.map(({ sessionId }) => sessionId).sort()).toEqual(['sess_old', 'sess_older']);
    expect(cancelled[0]?.reason).toMatchObject({
      policy: 'runaways',
      policyVersion: 2,
      limit: { name: 'max_runtime' },
    });
    expect((await curfew('history', '--since', '1h', '--limit', '1', '--format', 'csv')).stdout).toMatch(
      /^orderedAt,sessionId,.*\r\n\d{4}-.*\r\n$/,
    );
    const events = (await curfew('history', '--events', '--json')).stdout;
    for (const kind of ['policy-applied', 'exempt', 'would-end', 'breaker-opened', 'breaker-closed']) {
      expect(events).toContain(`"kind":"${kind}"`);
    }

    // What must live, lives.
    const { sessions } = own.simulator.world.truth();
    const alive = Object.keys(sessions).filter((id) => sessions[id]?.state === 'processing');
    expect(alive.sort()).toEqual(['sess_exempt', 'sess_young']);

    // The start without a file keeps what is in force, and says so.
    up.process.signal('SIGTERM');
    await up.process.ended;
    const again = await startReady(['up'], own.settings);
    expect(again.ready).toMatchObject({ policies: { version: 2, enforce: 1, observe: 1, changed: false } });
    again.process.signal('SIGTERM');
    await again.process.ended;
  },
  STORY_LIMIT_MS,
);

it(
  'applying and looking work while Temporal is away, and say that no worker scans',
  async () => {
    await own.withLedger(async ({ meta }) => {
      const coverage = JSON.parse((await meta.read('coverage')) ?? '{}') as { atMs: number };
      await meta.replace('coverage', JSON.stringify({ ...coverage, atMs: coverage.atMs - 10 * 60_000 }));
    });

    const third = file('third.yaml', SECOND.replace('45m', '50m'));
    expect(await json('policy', 'apply', third, '--yes')).toMatchObject({ version: 3, changed: true });
    const { code, stdout } = await curfew('status');
    expect(code).toBe(ExitCode.done);
    expect(stdout).toContain('NO WORKER SCANS');
    expect((await curfew('explain', 'sess_young')).stdout).toContain('No worker has scanned');
  },
  STORY_LIMIT_MS,
);

it.each([
  ['history --since', ['history', '--since', 'tomorrow'], '--since 2h'],
  ['history --until before --since', ['history', '--since', '1h', '--until', '2h'], '--until'],
  ['history --format', ['history', '--format', 'xml'], 'csv'],
  ['history --session', ['history', '--session', 'a/b'], 'session id'],
  ['status --limit', ['status', '--limit', 'many'], 'whole number'],
  ['explain', ['explain', '../agents'], 'session id'],
  ['policy plan --max-retrieves', ['policy', 'plan', 'x.yaml', '--max-retrieves', '-1'], 'whole number'],
])('%s with a value that is none is wrong usage', async (_name, args, named) => {
  const { code, stderr } = await curfew(...args);
  expect(code).toBe(ExitCode.usage);
  expect(stderr).toContain(named);
});
