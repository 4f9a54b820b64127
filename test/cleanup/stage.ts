import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, jest } from '@jest/globals';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../src/core/policy/policy.js';
import { installQuietRuntime, OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { startEnvironment, type TestEnvironment } from '../support/temporal-environment.js';

/** The real server, and no worker: what a Schedule starts stays at work. */
export interface Stage {
  readonly env: TestEnvironment['env'];
  /** Of this test alone, as is the ledger in it. */
  readonly folder: string;
  readonly ledger: Ledger;
  /** Number of the test. */
  readonly count: number;
}

export const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };

/** Sets the stage for every test of a file. @param onStage - called before each test, with what is new in it */
export function setStage(onStage: (stage: Stage) => void): void {
  let environment: TestEnvironment;
  let stage: Stage;
  let count = 0;

  beforeAll(async () => {
    installQuietRuntime();
    environment = await startEnvironment();
  }, OBTAIN_LIMIT_MS);
  afterAll(() => environment.stop());

  beforeEach(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'curfew-cleanup-'));
    const ledger = await openLedger(join(folder, 'ledger.db'));
    count += 1;
    stage = { env: environment.env, folder, ledger, count };
    for (const mock of Object.values(log)) mock.mockClear();
    onStage(stage);
  });
  afterEach(async () => {
    await stage.ledger.close();
    rmSync(stage.folder, { recursive: true, force: true });
  });
}

export const entryOf = (name: string, schedule: Partial<CleanupEntry['schedule']> = {}): CleanupEntry => ({
  name,
  select: { match: null, states: ['queued'], queuedForMs: 6 * 60 * 60_000, runningForMs: null },
  // Never in the life of a test, but by hand.
  schedule: { cron: '0 3 1 1 *', timezone: 'Europe/Berlin', ...schedule },
  caps: { maxCancels: 50, maxPercent: 50, perMs: 3_600_000 },
});
