import { afterAll, beforeAll } from '@jest/globals';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { describeBulkHistory } from './bulk-history.contract.js';

let server: TestPostgres;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

describeBulkHistory('PostgreSQL', () => server.createDatabase());
