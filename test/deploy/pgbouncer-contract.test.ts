import { afterAll, beforeAll } from '@jest/globals';
import { describeBulkPlans } from '../ledger/bulk-plans.contract.js';
import { describeDatabase } from '../ledger/database.contract.js';
import { describeDeliveries } from '../ledger/deliveries.contract.js';
import { describeEnforcement } from '../ledger/enforcement.contract.js';
import { describeRepositories } from '../ledger/repositories.contract.js';
import { describeWatches } from '../ledger/watches.contract.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startPgBouncer, type PgBouncer } from './pgbouncer.js';

let server: TestPostgres;
let bouncer: PgBouncer;

beforeAll(async () => {
  server = await startPostgres();
  // A database for each test: connections to those that are over would soon be too many.
  bouncer = await startPgBouncer(server, { idleSeconds: 1 });
});

afterAll(async () => {
  await bouncer?.stop();
  await server?.stop();
});

const NAME = 'PostgreSQL behind PgBouncer in transaction mode';
const freshUrl = async (): Promise<string> => bouncer.before(await server.createDatabase());

describeDatabase(NAME, freshUrl);
describeRepositories(NAME, freshUrl);
describeEnforcement(NAME, freshUrl);
describeWatches(NAME, freshUrl);
describeDeliveries(NAME, freshUrl);
describeBulkPlans(NAME, freshUrl);
