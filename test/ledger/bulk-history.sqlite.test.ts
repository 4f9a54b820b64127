import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeBulkHistory } from './bulk-history.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-bulk-history-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeBulkHistory('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
