import { afterAll, beforeAll } from '@jest/globals';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { describeLedgerMetrics } from './ledger.contract.js';

let server: TestPostgres;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

describeLedgerMetrics('PostgreSQL', () => server.createDatabase());
