import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWatches } from './watches.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-watches-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeWatches('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
