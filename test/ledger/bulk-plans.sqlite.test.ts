import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeBulkPlans } from './bulk-plans.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-bulk-plans-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeBulkPlans('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
