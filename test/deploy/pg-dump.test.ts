import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { openLedger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { planIn, sessionIds } from '../support/bulk-plans.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { installedPostgres } from '../support/postgres-programs.js';
import { allOrders, orderInLedgerOnly } from '../support/standing.js';

const run = promisify(execFile);

/** Server and programs of one release: an older `pg_dump` reads no newer server. */
const programs = installedPostgres(['initdb', 'postgres', 'pg_dump', 'pg_restore']);
let postgres: TestPostgres;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres({ programs });
  folder = mkdtempSync(join(tmpdir(), 'curfew-dump-'));
}, 120_000);
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Rows of every table, by its name. */
async function rowCounts(url: string): Promise<Record<string, number>> {
  const { db, close } = await openDatabase(url);
  try {
    const tables = await sql<{ name: string }>`
      select tablename as name from pg_tables where schemaname = current_schema() order by 1`.execute(db);
    const counts: Record<string, number> = {};
    for (const { name } of tables.rows) {
      const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(name)}`.execute(db);
      counts[name] = rows[0]?.count ?? -1;
    }
    return counts;
  } finally {
    await close();
  }
}

it('a ledger on PostgreSQL goes through pg_dump and pg_restore with every row, and is a ledger again', async () => {
  const [from, to] = [await postgres.createDatabase(), await postgres.createDatabase()];
  const ledger = await openLedger(from);
  const dump = join(folder, 'ledger.dump');
  try {
    for (const id of sessionIds(20)) await orderInLedgerOnly(ledger, id);
    await ledger.pauseSwitch.set(true, 'a test', 'incident 42');
    await planIn(ledger, 'b-backup', sessionIds(300, 'target'));

    // As docs/backup.md has it; the password in the environment, where lists of processes don't show it.
    const [source, target] = [new URL(from), new URL(to)];
    const env = { PATH: process.env['PATH'], PGPASSWORD: postgres.password };
    const place = ({ hostname, port, username }: URL) => [
      `--host=${hostname}`,
      `--port=${port}`,
      `--username=${username}`,
    ];
    const [sourceName, targetName] = [source.pathname.slice(1), target.pathname.slice(1)];
    await run(join(programs, 'pg_dump'), ['--format=custom', `--file=${dump}`, ...place(source), sourceName], { env });
    // What is there is replaced.
    await (await openLedger(to)).close();
    const onto = ['--clean', '--if-exists', '--no-owner', '--single-transaction', `--dbname=${targetName}`];
    await run(join(programs, 'pg_restore'), [...onto, ...place(target), dump], { env });

    const counts = await rowCounts(from);
    expect(counts).toMatchObject({ orders: 20, bulk_targets: 300, bulk_jobs: 1 });
    expect(await rowCounts(to)).toEqual(counts);
    const restored = await openLedger(to);
    try {
      expect(await allOrders(restored)).toEqual(await allOrders(ledger));
      expect(await restored.pauseSwitch.read()).toMatchObject({ paused: true, reason: 'incident 42' });
      expect(await restored.bulk.hash('b-backup')).toBe(await ledger.bulk.hash('b-backup'));
      await orderInLedgerOnly(restored, 'sess_new');
    } finally {
      await restored.close();
    }
  } finally {
    await ledger.close();
  }
}, 120_000);
