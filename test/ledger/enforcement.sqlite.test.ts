import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEnforcement } from './enforcement.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-enforcement-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeEnforcement('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
