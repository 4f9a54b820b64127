import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeContracts } from './contracts.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-contracts-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeContracts('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
