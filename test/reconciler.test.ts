import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { openLedger, type Ledger } from '../src/adapters/ledger/ledger.js';
import { takeUpNeglected } from '../src/worker/keepers/cases.js';
import { makeHome, removeHome } from './support/embedded-server.js';

const logger = () => ({ debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() });
const grpcError = (code: number, message: string) =>
  Object.assign(new Error(message), { code, details: '', metadata: {} });
const TOO_LONG = new Error('Failed to start Workflow', {
  cause: grpcError(3, '3 INVALID_ARGUMENT: WorkflowId length exceeds limit.'),
});
const MINUTE = 60_000;

let home: string;
let ledger: Ledger;
let nowMs: number;

beforeEach(async () => {
  home = makeHome();
  ledger = await openLedger(`${home}/ledger.db`, { migrate: true });
  nowMs = Date.now();
  jest.spyOn(Date, 'now').mockImplementation(() => nowMs);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await ledger.close();
  removeHome(home);
});

const order = (sessionId: string): Promise<string> =>
  ledger.orders.create({
    ...{ sessionId, source: 'person', requestedBy: 'p', evenIfExempt: false, turnKey: null },
    reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
  });

const pass = (failure: Error, log = logger()): Promise<void> =>
  takeUpNeglected(
    ledger,
    { join: (sessionId) => (sessionId === 'sess_fine' ? Promise.resolve('joined') : Promise.reject(failure)) },
    log,
    Number.MAX_SAFE_INTEGER,
    new AbortController().signal,
  );

const eventsOf = async (orderId: string) =>
  (await ledger.orders.views({ orderIds: [orderId] })).flatMap(({ result }) => result.events);

describe('an order whose case Temporal does not start', () => {
  it('is told when it is a minute old, once, and says why', async () => {
    const stuck = await order('sess_stuck');
    const fine = await order('sess_fine');
    await pass(TOO_LONG);
    expect(await eventsOf(stuck)).toEqual([]);
    nowMs += MINUTE;
    const log = logger();
    await Promise.all([pass(TOO_LONG, log), pass(TOO_LONG, log)]);
    nowMs += MINUTE;
    await pass(TOO_LONG, log);
    const why = 'Temporal does not start its case: WorkflowId length exceeds limit';
    expect(await eventsOf(stuck)).toEqual([expect.objectContaining({ kind: 'not-ending', why })]);
    expect(await eventsOf(fine)).toEqual([]);
    expect(log.error).toHaveBeenCalledTimes(1);
    expect(log.warn).toHaveBeenCalledTimes(3);
  });

  it.each([
    ['namespace away', grpcError(5, '5 NOT_FOUND: Namespace curfew is not found.')],
    ['key refused', grpcError(7, '7 PERMISSION_DENIED: Request unauthorized.')],
    ['payload that can not be made', new TypeError('no key to encrypt with')],
  ])('is told whatever refuses it: %s', async (_, failure) => {
    const stuck = await order('sess_stuck');
    nowMs += MINUTE;
    await pass(failure);
    expect(await eventsOf(stuck)).toHaveLength(1);
  });

  it.each([4, 8, 14])('is not told while Temporal is away or busy (status %i), which passes', async (code) => {
    const waiting = await order('sess_waiting');
    nowMs += 10 * MINUTE;
    await pass(grpcError(code, 'no'));
    await pass(new Error('Failed to start Workflow', { cause: grpcError(code, 'no') }));
    expect(await eventsOf(waiting)).toEqual([]);
  });
});
