import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { BulkRegistration, BulkWrites, BulkWritten } from '../../src/adapters/ledger/bulk-writes.js';
import { createBook } from '../../src/engines/bulk/book.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A book, and what was written by it, transaction by transaction. */
function bookOf() {
  const written: BulkWrites[] = [];
  const write = (_key: unknown, writes: BulkWrites): Promise<BulkWritten> => {
    written.push(writes);
    const departures = writes.departures.map((): BulkRegistration => ({ kind: 'registered' }));
    return Promise.resolve({ kind: 'written', departures });
  };
  const ledger = { bulkRun: { write } } as unknown as Pick<Ledger, 'bulkRun'>;
  const book = createBook(ledger, { planId: 'b-1', epoch: 1 });
  const depart = (seq: number): Promise<BulkRegistration> =>
    book.register({ seq, sessionId: `sess_${seq}`, agentId: null, turn: null, readAtMs: 0 });
  const settle = (seq: number): Promise<void> =>
    book.settle({
      ...{ seq, sessionId: `sess_${seq}`, from: 'answered', outcome: 'cancelled', attribution: 'strong' },
      ...{ agentId: null, turnKey: null, endedAtMs: null, error: null },
    });
  return { written, depart, settle };
}

const places = (count: number): number[] => Array.from({ length: count }, (_, place) => place);

it('writes at once what is enough for a transaction, without the wait for more', async () => {
  const { written, depart } = bookOf();
  // No timer ever goes off here.
  await Promise.all(places(96).map(depart));
  expect(written.map(({ departures }) => departures.length)).toEqual([96]);
});

it('lets a few wait for others, and writes them together in their order', async () => {
  const { written, depart } = bookOf();
  const departing = places(5).map(depart);
  await jest.advanceTimersByTimeAsync(1);
  expect(written).toEqual([]);
  await jest.advanceTimersByTimeAsync(100);
  expect(await Promise.all(departing)).toHaveLength(5);
  expect(written.map(({ departures }) => departures.map(({ seq }) => seq))).toEqual([[0, 1, 2, 3, 4]]);
});

it('lets outcomes wait for what holds up a target: they ride along', async () => {
  const { written, depart, settle } = bookOf();
  const settling = places(200).map(settle);
  await jest.advanceTimersByTimeAsync(1);
  expect(written).toEqual([]);
  await Promise.all(places(96).map(depart));
  await Promise.all(settling);
  expect(written.map(({ departures, settlements }) => [departures.length, settlements.length])).toEqual([[96, 200]]);
});
