import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeRepositories } from './repositories.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-repositories-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeRepositories('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
