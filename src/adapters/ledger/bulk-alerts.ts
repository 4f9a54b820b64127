import type { Transaction } from 'kysely';
import type { NewEvent } from './events.js';
import type { EventKind } from '../../core/events.js';
import { createMeta } from './meta.js';
import type { LedgerDatabase } from './schema.js';

/** What fifty of a job's sessions may meet alike. One alert sends somebody to the report, which has them all. */
const ONE_PER_JOB: readonly EventKind[] = ['not-ending', 'retries-exhausted', 'forbidden', 'gone'];

const toldKey = (planId: string, kind: EventKind): string => `bulk-told/${planId}/${kind}`;

/** Leaves out alerts about cases of a bulk job that was told of for the same already. The first one names the job. */
export async function onePerJob(trx: Transaction<LedgerDatabase>, events: readonly NewEvent[]): Promise<NewEvent[]> {
  const told: NewEvent[] = [];
  for (const event of events) {
    const planId = ONE_PER_JOB.includes(event.kind) ? await planOf(trx, event) : null;
    if (planId === null) told.push(event);
    else if (await createMeta(trx).claim(toldKey(planId, event.kind), String(event.at))) {
      told.push({ ...event, data: { ...event.data, plan: planId } });
    }
  }
  return told;
}

export async function forgetTold(trx: Transaction<LedgerDatabase>, planId: string): Promise<void> {
  const keys = ONE_PER_JOB.map((kind) => toldKey(planId, kind));
  await trx.deleteFrom('meta').where('key', 'in', keys).execute();
}

async function planOf(trx: Transaction<LedgerDatabase>, { sessionId, orderId }: NewEvent): Promise<string | null> {
  if (sessionId === undefined || orderId === undefined) return null;
  const target = await trx
    .selectFrom('bulk_targets')
    .select('plan_id')
    .where('session_id', '=', sessionId)
    .where('order_id', '=', orderId)
    .executeTakeFirst();
  return target?.plan_id ?? null;
}
