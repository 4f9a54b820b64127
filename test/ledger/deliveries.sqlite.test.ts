import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeDeliveries } from './deliveries.contract.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-deliveries-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeDeliveries('SQLite', () => Promise.resolve(join(folder, `${randomUUID()}.db`)));
