import type { Transaction } from 'kysely';
import { getJob, toJob, type BulkJob } from './bulk-plans.js';
import { dialectOf } from './dialect.js';
import type { LedgerDatabase } from './schema.js';

/** A job, and who works on it. */
export interface LockedJob extends BulkJob {
  readonly epoch: number;
  readonly leaseUntilMs: number | null;
}

/**
 * Reads a job such that its state cannot change until the transaction ends: steering waits for transactions that let
 * requests out, and they for it. On SQLite a writer is alone.
 */
export async function lockJob(trx: Transaction<LedgerDatabase>, planId: string): Promise<LockedJob | null> {
  const read = trx.selectFrom('bulk_jobs').selectAll().where('id', '=', planId);
  const row = await (dialectOf(trx) === 'sqlite' ? read : read.forUpdate()).executeTakeFirst();
  return row === undefined ? null : { ...toJob(row), epoch: row.epoch, leaseUntilMs: row.lease_until };
}

export async function readLocked(trx: Transaction<LedgerDatabase>, planId: string): Promise<BulkJob> {
  const job = await getJob(trx, planId);
  if (job === null) throw new Error(`The bulk job ${planId} vanished inside a transaction.`);
  return job;
}
