import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeLedgerMetrics } from './ledger.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-metrics-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeLedgerMetrics('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
