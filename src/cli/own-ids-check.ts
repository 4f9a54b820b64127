import type { Client } from '@temporalio/client';
import pMap from 'p-map';
import {
  BULK_CANCELLATION,
  bulkWorkflowId,
  caseWorkflowId,
  ENFORCEMENT_WORKFLOW_ID,
  NOTIFICATION,
  notificationWorkflowId,
  POLICY_ENFORCEMENT,
  SESSION_CANCELLATION,
  SESSION_WATCH,
  watchWorkflowId,
} from '../core/contract.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { strangerAt } from '../adapters/temporal/own-ids.js';
import { readStrangers, type Stranger } from '../adapters/temporal/stranger-notes.js';

/** Of each kind of workflow so many are looked at: those that have waited longest. Workers look at all. */
const MOST = 50;
/** What was due longer ago waits for something, ms. */
const DUE_MS = 60_000;
const AT_ONCE = 8;

/**
 * Looks at the ids under which Curfew needs a workflow now: what runs there must be its own. Workers find the same while they work;
 * this also finds it where none does.
 */
export async function findStrangers(ledger: Ledger, client: Client): Promise<Stranger[]> {
  const dueBefore = (await ledger.now()) - DUE_MS;
  const [noted, policies, orders, watches, jobs] = await Promise.all([
    readStrangers(ledger),
    ledger.policies.inForce(),
    ledger.orders.neglected(dueBefore, MOST),
    ledger.watches.overdue(dueBefore, MOST),
    ledger.bulk.list({ states: ['running', 'paused'], limit: MOST }),
  ]);
  const routes = policies.kind === 'known' ? Object.keys(policies.inForce.file.notify) : [];
  const needed: readonly (readonly [string, string])[] = [
    ...(policies.kind === 'none' ? [] : [[ENFORCEMENT_WORKFLOW_ID, POLICY_ENFORCEMENT] as const]),
    ...orders.map(({ sessionId }) => [caseWorkflowId(sessionId), SESSION_CANCELLATION] as const),
    ...watches.map((sessionId) => [watchWorkflowId(sessionId), SESSION_WATCH] as const),
    ...jobs.map(({ planId }) => [bulkWorkflowId(planId), BULK_CANCELLATION] as const),
    ...routes.map((route) => [notificationWorkflowId(route), NOTIFICATION] as const),
  ];
  const found = await pMap(needed, ([id, type]) => strangerAt(client, id, type), { concurrency: AT_ONCE });
  const now = found.filter((stranger) => stranger !== null);
  const looked = new Set(needed.map(([id]) => id));
  return [...now, ...noted.filter(({ id }) => !looked.has(id))];
}
