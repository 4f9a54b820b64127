import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { lockSession, readSwitchForShare } from '../../src/adapters/ledger/locks.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { createPolicies } from '../../src/adapters/ledger/policy-versions.js';
import { clockAt } from './rows.js';
import { sharedPostgres } from '../support/shared.js';
import { describeContracts } from './contracts.js';

let server: Awaited<ReturnType<typeof sharedPostgres>>;

beforeAll(async () => {
  server = await sharedPostgres();
});

afterAll(async () => {
  await server.stop();
});

describeContracts('PostgreSQL', () => server.createDatabase());

describe('a policy file that is applied on PostgreSQL', () => {
  it('waits for a request that is just being let out, and neither holds up the other for good', async () => {
    const { db, close } = await openDatabase(await server.createDatabase());
    const exemption = { sessionId: 'session-1', untilMs: 2, reason: 'release' };
    const file = { version: 1, policies: [], cleanup: [], notify: {}, exempt: [exemption] } as const;

    const { applied } = await db.transaction().execute(async (trx) => {
      // As a request does it: first the session, later the pause switch.
      await lockSession(trx, exemption.sessionId);
      const applied = createPolicies(db, clockAt(1)).apply({
        file,
        fileName: 'curfew.yaml',
        sourceText: '',
        by: 'ann',
      });
      for (let waiting = 0; waiting === 0; await sleep(10)) {
        const held = sql<{
          n: number;
        }>`select count(*)::int as n from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`;
        waiting = (await held.execute(trx)).rows[0]?.n ?? 0;
      }
      expect(await readSwitchForShare(trx)).toMatchObject({ paused: false });
      // In an object: the transaction must not wait for it.
      return { applied };
    });
    expect(await applied).toEqual({ version: 1, changed: true });
    await close();
  });
});
