import { setTimeout as sleep } from 'node:timers/promises';
import type { OrderResult } from '../../src/core/contract.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { homePaths } from '../../src/platform/home.js';
import type { OrderView } from '../../src/adapters/ledger/results.js';

/** The ledger in a home, opened for a moment. */
export async function usingLedger<T>(home: string, use: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = await openLedger(homePaths(home).ledger);
  try {
    return await use(ledger);
  } finally {
    await ledger.close();
  }
}

/** All orders of a small ledger, while other processes write to it. */
export async function allOrders(ledger: Ledger): Promise<OrderView[]> {
  for (;;) {
    try {
      return await ledger.orders.views({ limit: 1_000 });
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      await sleep(100);
    }
  }
}

/** Waits until every order has its outcome; the test's own time limit ends a wait in vain. */
export async function untilSettled(ledger: Ledger): Promise<OrderResult[]> {
  for (;;) {
    const views = await allOrders(ledger);
    if (views.length > 0 && views.every(({ result }) => result.outcome !== null))
      return views.map(({ result }) => result);
    await sleep(200);
  }
}

/** Writes an order as a command does it before it talks to Temporal, and then dies. */
export const orderInLedgerOnly = (ledger: Ledger, sessionId: string): Promise<string> =>
  ledger.orders.create({
    sessionId,
    source: 'person',
    requestedBy: 'someone@example.com',
    reason: { text: 'a test', policy: null, policyVersion: null, limit: null, observed: null },
    evenIfExempt: false,
    turnKey: null,
  });

/** Process ids of the workers that wait for the answer to a cancel request: a worker's name has its own in it. */
export async function senders({ db }: Pick<OpenedDatabase, 'db'>): Promise<number[]> {
  const requests = await db.selectFrom('requests').select('worker').where('status', '=', 'open').execute();
  return requests.map(({ worker }) => Number(worker.split(':').at(-2)));
}
