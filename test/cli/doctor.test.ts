import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { loadConfig } from '../../src/platform/config.js';
import { runChecks, type CheckResult } from '../../src/cli/doctor.js';
import { openLedger } from '../../src/adapters/ledger/ledger.js';

const DAY = 24 * 3_600_000;

let folder: string;
let simulator: Simulator;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-doctor-'));
  simulator = await startSimulator();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

async function checked(name: string, more: Record<string, string> = {}): Promise<CheckResult | undefined> {
  const env = {
    CURFEW_HOME: folder,
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    ...more,
  };
  const checks = await runChecks(loadConfig(env, folder), { notify: false });
  return checks.find((check) => check.name === name);
}

/** A ledger whose newest row is as old as that; negative: it is in the future. */
async function ledgerWithRow(ageMs: number): Promise<void> {
  const ledger = await openLedger(join(folder, 'ledger.db'));
  const now = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - ageMs);
  await ledger.recordEvents([{ kind: 'paused' }]);
  now.mockRestore();
  await ledger.close();
}

describe('doctor on clocks', () => {
  it('shows the difference to the vendor’s and to the ledger’s newest row', async () => {
    await ledgerWithRow(3 * DAY);
    expect(await checked('clock')).toMatchObject({
      status: 'ok',
      says: 'Ours is within 2 seconds of the vendor’s; the ledger’s is 3 days ahead of its newest row.',
    });
  });

  it('warns of a clock that is far ahead of the vendor’s', async () => {
    const real = Date.now;
    jest.spyOn(Date, 'now').mockImplementation(() => real() + 402 * DAY);
    simulator.world.now = () => real();
    const clock = await checked('clock');
    expect(clock).toMatchObject({ status: 'warning', says: 'Ours is 402 days ahead of the vendor’s.' });
    expect(clock?.next).toContain('removes nothing');
  });

  it('warns of rows of the future', async () => {
    await ledgerWithRow(-402 * DAY);
    expect(await checked('clock')).toMatchObject({
      status: 'warning',
      says: expect.stringContaining('402 days behind its newest row'),
    });
  });
});

describe('doctor on settings', () => {
  it('names the .env that was read, what is taken from it, and what not', async () => {
    expect(await checked('settings')).toBeUndefined();
    writeFileSync(join(folder, '.env'), 'CURFEW_LOG=warn\nNODE_OPTIONS=--require=/tmp/evil.js\n', { mode: 0o600 });
    const settings = await checked('settings');
    expect(settings?.says).toContain(`${join(folder, '.env')}: CURFEW_LOG.`);
    expect(settings?.says).toContain('not settings of Curfew: NODE_OPTIONS');
  });
});
