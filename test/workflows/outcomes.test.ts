import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pMap from 'p-map';
import { createActivities, type ActivityDependencies, type Activities } from '../../activities/index.js';
import type { Attribution, OrderResult, Outcome } from '../../src/core/contract.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { systemClock } from '../../src/platform/clock.js';
import { verdictOf, type RuleWord } from '../support/rule-words.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { createLimiter } from '../../src/adapters/vendor/limiter.js';
import type { PolicyRules } from '../../src/engines/cases/rules.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { NewOrder } from '../../src/adapters/ledger/orders.js';
import { NO_METERS } from '../../src/adapters/meters.js';
import { SAME_MOMENT_MS } from '../../src/core/policy/binding.js';
import type { CaseTiming } from '../../src/core/policy/timing.js';
import { createCredentials, createSessionsClient, type OpenSessionsClient } from '../../src/adapters/vendor/index.js';
import { createLogger } from '../../src/platform/telemetry.js';
import { createCases, type Cases } from '../../src/adapters/temporal/cases.js';
import {
  startSimulator,
  type FaultInput,
  type SessionInput,
  type Simulator,
  type World,
} from '../../simulator/index.js';
import { until } from '../support/embedded-server.js';
import { contradictions, recordReads, type ServedRead } from '../support/oracle.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

/** The real course of a case, many times faster. A dev server's timers come up to a second late. */
const TIMING: CaseTiming = {
  confirmGapsMs: [50, 100, 150, 300, 600],
  missingGapMs: 300,
  refusedForMs: 3_000,
  retryCapMs: 400,
  accountRetryMs: 300,
  heldRetryMs: 200,
  alertAfterMs: 10 * 60_000,
  giveUpAfterMs: 20 * 60_000,
  restartGapsMs: [200, 3_000],
  restartGapsWithQueueMs: [200],
};
/** For sessions of which the name says so. */
const IMPATIENT: CaseTiming = { ...TIMING, alertAfterMs: 200, giveUpAfterMs: 30_000 };
const isImpatient = (name: string): boolean => name.includes('impatient');
/** Courses that run side by side. */
const AT_ONCE = 12;

/** Stands in for policies in force: the name of the policy is its verdict. */
const rules: PolicyRules = {
  judge: (order) => Promise.resolve(verdictOf((order.policy ?? 'unknown') as RuleWord, order)),
  judgeService: () => Promise.resolve(null),
  onRestart: () => Promise.resolve(null),
};

interface Course {
  /** Without it, a turn that never ends by itself. */
  readonly session?: Omit<SessionInput, 'agent' | 'id' | 'faults'>;
  readonly faults?: readonly FaultInput[];
  readonly order?: Partial<NewOrder>;
  /** A policy gives the order, and this is what the policies in force say at the gate. */
  readonly verdict?: RuleWord;
  /** Before the order. */
  readonly before?: (world: World, sessionId: string) => Promise<unknown> | void;
  /** Just after the order. */
  readonly meanwhile?: (world: World, sessionId: string) => Promise<unknown> | void;
  readonly outcome: Outcome;
  readonly attribution?: Attribution;
  /** Requests that were sent; left out where chance decides. */
  readonly attempts?: number;
  readonly events?: readonly string[];
  /** What is right when the first read was too old to send on. */
  readonly ifReadTooOld?: Pick<Course, 'outcome' | 'attempts'>;
  readonly ifFirstReadLate?: Pick<Course, 'outcome' | 'attempts'>;
}

/** The outcome table of docs/outcomes.md, row by row, each with the faults that lead there. */
const COURSES: Readonly<Record<string, Course>> = {
  'a turn that has completed': {
    session: { state: 'completed', turnAge: '1h', endedAgo: '50m' },
    outcome: 'already-ended',
    attempts: 0,
  },
  'a turn that has failed': {
    session: { state: 'failed', turnAge: '1h', endedAgo: '50m' },
    outcome: 'already-ended',
    attempts: 0,
  },
  'a turn that was followed by another one': {
    before: (world, sessionId) => {
      world.endTurn(sessionId);
      world.startTurn(sessionId);
    },
    order: { turnKey: 'the first' },
    outcome: 'superseded',
    attempts: 0,
  },
  'a policy’s order on a turn that no longer violates': {
    verdict: 'no-longer-violating',
    outcome: 'no-longer-violating',
    attempts: 0,
  },
  'a policy’s order over its caps': { verdict: 'capped', outcome: 'capped', attempts: 0 },
  'a policy’s order that may be sent': {
    verdict: 'send',
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  'an exempt session': { before: exempt, outcome: 'exempted', attempts: 0 },
  'an exempt session, with a word to end it all the same': {
    before: exempt,
    order: { evenIfExempt: true },
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  'an idle session': { session: { state: 'idle' }, outcome: 'not-in-flight', attempts: 0 },
  'a turn that waits for a person': {
    session: { state: 'approval_required', turnAge: '1h' },
    outcome: 'not-in-flight',
    attempts: 0,
  },
  'I5: a null state': {
    faults: [{ fault: 'null-state', on: 'retrieve', times: 'forever' }],
    outcome: 'not-in-flight',
    attempts: 0,
  },
  'I5: an unknown state': {
    faults: [{ fault: 'unknown-state', on: 'retrieve', times: 'forever' }],
    outcome: 'not-in-flight',
    attempts: 0,
  },
  'a running turn': { outcome: 'cancelled', attribution: 'strong', attempts: 1 },
  'a waiting turn': {
    session: { state: 'queued', turnAge: '7h' },
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  'messages that carry no times': {
    faults: [{ fault: 'null-message-times', on: 'retrieve', times: 'forever' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
    // On a machine that takes 10 s to the first read nobody can tell any more which turn was meant.
    ifFirstReadLate: { outcome: 'not-in-flight', attempts: 0 },
  },
  '200 `failed`, and the queue starts the next turn': {
    session: { queuedMessages: 1 },
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
    events: ['restarted'],
  },
  '200 `completed` that stays': {
    faults: [{ fault: 'turn-ends-in-between' }],
    outcome: 'already-ended',
    attempts: 1,
  },
  '200 `completed` that turns `failed`': {
    faults: [{ fault: 'lagging-effect', answer: 'completed', visibleAfter: 250 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  '200 `failed` while reads lag behind': {
    faults: [{ fault: 'lagging-effect', answer: 'failed', readsShow: 'processing', visibleAfter: 700 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  '200 `processing` without effect': {
    faults: [{ fault: 'accepted-without-effect', answer: 'processing' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  '200 `failed` without effect': {
    faults: [{ fault: 'accepted-without-effect', answer: 'failed' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  'failed_to_abort, three times': {
    faults: [{ fault: 'failed-to-abort', times: 3 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 4,
  },
  'failed_to_abort, though it was': {
    faults: [{ fault: 'failed-to-abort', effect: true }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  '503 with HTML': {
    faults: [{ fault: 'server-error', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  '503 with HTML, with effect': {
    faults: [{ fault: 'server-error', on: 'cancel', effect: true }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  '200 with HTML': {
    faults: [{ fault: 'html-body', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'a body that breaks off': {
    faults: [{ fault: 'truncated-body', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'half a JSON': {
    faults: [{ fault: 'truncated-body', on: 'cancel', cut: 'json' }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'an answer about another session': {
    faults: [{ fault: 'wrong-session-id', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'a connection that breaks before': {
    faults: [{ fault: 'reset-before-effect', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  'a connection that breaks after': {
    faults: [{ fault: 'reset-after-effect', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'an answer that never comes': {
    faults: [{ fault: 'hang', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  'an answer that never comes, with effect': {
    faults: [{ fault: 'hang', on: 'cancel', effect: true }],
    outcome: 'cancelled',
    attribution: 'probable',
    attempts: 1,
  },
  'an answer that comes late': {
    faults: [{ fault: 'lagging-answer', on: 'cancel', delay: 900, effectAfter: 400 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  'requests that fail, and a turn that completes by itself': {
    faults: [{ fault: 'failed-to-abort', times: 'forever' }],
    meanwhile: async (world, sessionId) => {
      await until(() => world.truth(sessionId).cancels.length > 0);
      world.endTurn(sessionId);
    },
    outcome: 'already-ended',
  },
  'a request of unknown effect, and the next turn': {
    session: { queuedMessages: 1 },
    faults: [{ fault: 'failed-to-abort', effect: true }],
    outcome: 'ended-unattributed',
    attempts: 1,
    events: ['restarted'],
  },
  'a turn that begins between our read and the request': {
    faults: [{ fault: 'new-turn-in-between' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
    events: ['may-have-hit-newer-turn'],
  },
  'a turn that begins just behind our read': {
    faults: [{ fault: 'new-turn-in-between', on: 'retrieve' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
    events: ['may-have-hit-newer-turn'],
    // On a machine that stalls for 2 s between read and request nothing is sent, and the next read shows the newer turn.
    ifReadTooOld: { outcome: 'superseded', attempts: 0 },
  },
  'a session that is gone': {
    before: (world, sessionId) => world.removeSession(sessionId),
    outcome: 'gone',
    attempts: 0,
    events: ['gone'],
  },
  'one 404 among good answers': {
    faults: [{ fault: 'not-found', on: 'retrieve' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  '403 for reading this session': {
    faults: [{ fault: 'forbidden-session', on: 'retrieve', times: 'forever' }],
    outcome: 'forbidden',
    attempts: 0,
    events: ['forbidden'],
  },
  '403 for ending this session': {
    faults: [{ fault: 'forbidden-session', on: 'cancel', times: 'forever' }],
    outcome: 'forbidden',
    events: ['forbidden'],
  },
  '404 for ending this session, which reads show': {
    faults: [{ fault: 'not-found', on: 'cancel', times: 'forever' }],
    outcome: 'forbidden',
    events: ['forbidden'],
  },
  'one 403 for reading, and one for ending this session': {
    faults: [
      { fault: 'forbidden-session', on: 'retrieve' },
      { fault: 'forbidden-session', on: 'cancel' },
    ],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  '403 from something in between': {
    faults: [
      { fault: 'client-error', on: 'retrieve', body: 'html' },
      { fault: 'client-error', on: 'cancel', body: 'empty' },
      { fault: 'client-error', on: 'cancel', body: 'json', retryAfterSeconds: 1 },
    ],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 3,
  },
  'a code of the account on ending this session': {
    faults: [{ fault: 'forbidden-account', code: 'policy_denied', on: 'cancel', times: 'forever' }],
    outcome: 'forbidden',
    events: ['forbidden'],
  },
  '403 of the account, for a while': {
    faults: [{ fault: 'forbidden-account', on: 'retrieve', times: 2 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  '401, for a while': {
    faults: [{ fault: 'unauthorized', on: 'cancel', times: 2 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 3,
  },
  '429 with seconds': {
    faults: [{ fault: 'rate-limited', on: 'cancel', retryAfterSeconds: 1 }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  '429 with a date': {
    faults: [{ fault: 'rate-limited', on: 'retrieve', retryAfterSeconds: 1, retryAfterForm: 'http-date' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  '409': { faults: [{ fault: 'conflict', on: 'cancel' }], outcome: 'cancelled', attribution: 'strong', attempts: 2 },
  'a redirect': {
    faults: [{ fault: 'redirect', on: 'cancel' }],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 2,
  },
  'reads that fail in every way': {
    faults: [
      { fault: 'server-error', on: 'retrieve' },
      { fault: 'reset-before-effect', on: 'retrieve' },
      { fault: 'html-body', on: 'retrieve' },
      { fault: 'truncated-body', on: 'retrieve' },
      { fault: 'wrong-session-id', on: 'retrieve' },
    ],
    outcome: 'cancelled',
    attribution: 'strong',
    attempts: 1,
  },
  'impatient: requests that never work': {
    faults: [{ fault: 'failed-to-abort', times: 'forever' }],
    outcome: 'retries-exhausted',
    events: ['not-ending', 'retries-exhausted'],
  },
};

let simulator: Simulator;
let temporal: TestTemporal;
let ledger: Ledger;
let sessions: OpenSessionsClient;
let cases: Cases;
let reads: readonly ServedRead[];
/** When the answers to reads were there, on our clock, ms. */
const answered: { readonly sessionId: string; readonly atMs: number }[] = [];
let folder: string;
const results = new Map<string, OrderResult>();

const sessionOf = (name: string): string => `sess_${name.replace(/[^a-z0-9]+/gi, '-').toLowerCase()}`;

async function exempt(_world: World, sessionId: string): Promise<void> {
  await ledger.exemptions.add({ sessionId, forMs: 60 * 60_000, reason: 'a test', by: 'someone@example.com' });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-outcomes-'));
  simulator = await startSimulator({ slots: 1_000 });
  reads = recordReads(simulator.world);
  simulator.world.addAgent({ id: 'agent_test' });
  ledger = await openLedger(join(folder, 'ledger.db'));
  const credentials = createCredentials({ GUMLOOP_API_KEY: simulator.apiKey, GUMLOOP_USER_ID: simulator.userId });
  sessions = noteAnswers(
    createSessionsClient({
      baseUrl: simulator.url,
      credentials,
      userAgent: 'curfew-test',
      // The only limit that a fault here runs into; for the others a slow machine is not a fault.
      timeouts: { cancelMs: 20_000 },
    }),
  );
  temporal = await startTemporal({ activities: realActivities() });
  cases = createCases(temporal.env.client, true);
  // Those that last long first. Not all at once: a slow machine would come to the last ones when it is too late for them.
  const courses = Object.entries(COURSES).sort(([a], [b]) => Number(isImpatient(b)) - Number(isImpatient(a)));
  await pMap(courses, ([name, course]) => run(name, course), { concurrency: AT_ONCE });
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await temporal.stop();
  sessions.close();
  await ledger.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const noteAnswers = (client: OpenSessionsClient): OpenSessionsClient => ({
  ...client,
  retrieveSession: async (sessionId, options) => {
    const answer = await client.retrieveSession(sessionId, options);
    answered.push({ sessionId, atMs: Date.now() });
    return answer;
  },
});

/** The activities as the worker has them, with shorter waits; the impatient ones apart. */
function realActivities(): Activities {
  const log = createLogger('silent', false);
  const limiter = createLimiter(1_000, systemClock);
  const vendorClock = createVendorClock(systemClock);
  const deps = (timing: CaseTiming): ActivityDependencies => ({
    gate: createGate({ sessions, ledger, limiter, clock: systemClock, vendorClock, log, worker: 'curfew-test' }),
    account: createAccount(ledger, sessions, log),
    ledger,
    limiter,
    sessions,
    rules,
    timing,
    log,
    meters: NO_METERS,
    random: Math.random,
  });
  const [usual, impatient] = [createActivities(deps(TIMING)), createActivities(deps(IMPATIENT))];
  const of = ({ sessionId }: { sessionId: string }) => (isImpatient(sessionId) ? impatient : usual);
  return {
    cancelSession: (input) => of(input).cancelSession(input),
    confirmCancellation: (input) => of(input).confirmCancellation(input),
    watchForRestart: (input) => of(input).watchForRestart(input),
    reportCase: (input) => of(input).reportCase(input),
  };
}

async function give(sessionId: string, order: Partial<NewOrder> = {}, policy: string | null = null): Promise<string> {
  const orderId = await ledger.orders.create({
    sessionId,
    source: policy === null ? 'person' : 'policy',
    requestedBy: 'someone@example.com',
    reason: { text: 'a test', policy, policyVersion: policy === null ? null : 1, limit: null, observed: null },
    evenIfExempt: false,
    turnKey: null,
    ...order,
  });
  await cases.join(sessionId, orderId, 60_000);
  return orderId;
}

async function settled(orderId: string): Promise<OrderResult> {
  for (;;) {
    const [view] = await ledger.orders.views({ orderIds: [orderId] });
    if (view !== undefined && view.result.outcome !== null) return view.result;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function run(name: string, course: Course): Promise<void> {
  const { world } = simulator;
  const sessionId = sessionOf(name);
  const { turnKey } = world.addSession({
    agent: 'agent_test',
    id: sessionId,
    turnAge: '10m',
    ...course.session,
    faults: [...(course.faults ?? [])],
  });
  await course.before?.(world, sessionId);
  const { order = {}, verdict = null } = course;
  const orderId = await give(sessionId, order.turnKey == null ? order : { ...order, turnKey }, verdict);
  await course.meanwhile?.(world, sessionId);
  await settled(orderId);
  // What is found out by looking after the end belongs to the result too.
  await temporal.env.client.workflow.getHandle(`cancel/${sessionId}`).result();
  results.set(name, await settled(orderId));
}

const resultOf = (name: string): OrderResult => {
  const result = results.get(name);
  if (result === undefined) throw new Error(`"${name}" has not come to an end.`);
  return result;
};

/** From the order to the answer of the first read, ms. */
function firstReadMs({ sessionId, orderedAt }: OrderResult): number {
  const read = answered.find((one) => one.sessionId === sessionId);
  return read === undefined ? 0 : read.atMs - Date.parse(orderedAt);
}

describe('the outcome', () => {
  it.each(Object.entries(COURSES))('of %s is what was seen', (name, course) => {
    const result = resultOf(name);
    const tooOld = result.lastError?.type === 'ReadTooOld' ? course.ifReadTooOld : undefined;
    const late = firstReadMs(result) > SAME_MOMENT_MS ? course.ifFirstReadLate : undefined;
    const expected: Pick<Course, 'outcome' | 'attribution' | 'attempts' | 'events'> = tooOld ?? late ?? course;
    const { outcome, attribution, attempts, events = [] } = expected;
    expect(result).toMatchObject({ outcome, attribution: attribution ?? null });
    if (attempts !== undefined) expect(result.attempts).toBe(attempts);
    expect(result.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining([...events]));
  });

  it('carries no alarm where all went well', () => {
    expect(resultOf('a running turn').events).toEqual([]);
    expect(resultOf('failed_to_abort, three times').events).toEqual([]);
  });
});

describe('what Curfew says, against what really happened', () => {
  const found = () =>
    contradictions({ orders: [...results.values()], truth: simulator.world.truth(), reads, kills: 0 });

  it('I1: every request came right after a read that showed an ordered turn in flight', () =>
    expect(found().I1).toEqual([]));
  it('I2: every ordered turn ended, or was reported', () => expect(found().I2).toEqual([]));
  it('I3: no session ever had two requests side by side', () => expect(found().I3).toEqual([]));
  it('I4: every outcome is true', () => expect(found().I4).toEqual([]));
});

describe('orders on one session', () => {
  it('share the request, and each has its own outcome', async () => {
    const { turnKey } = simulator.world.addSession({ agent: 'agent_test', id: 'sess_shared', turnAge: '10m' });
    const orderIds = await Promise.all([give('sess_shared'), give('sess_shared'), give('sess_shared', { turnKey })]);

    for (const orderId of orderIds) {
      expect(await settled(orderId)).toMatchObject({
        outcome: 'cancelled',
        attribution: 'strong',
        attempts: 1,
        turnKey,
      });
    }
    expect(simulator.world.truth('sess_shared').cancels).toHaveLength(1);
  });

  it('I3: wait for the answer to a request that is under way, and send none beside it', async () => {
    simulator.world.addSession({
      agent: 'agent_test',
      id: 'sess_under_way',
      turnAge: '10m',
      faults: [{ fault: 'lagging-answer', on: 'cancel', delay: 15_000, effectAfter: 14_900 }],
    });
    const truth = () => simulator.world.truth('sess_under_way');
    const first = await give('sess_under_way');
    await until(() => truth().cancels.length === 1);

    const orderIds = [first, await give('sess_under_way'), await give('sess_under_way')];

    for (const orderId of orderIds) expect(await settled(orderId)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
    expect(truth()).toMatchObject({ cancels: [{ effect: true }], maxConcurrentCancels: 1 });
  });

  it('end only the turn that was there when they were given', async () => {
    const { world } = simulator;
    world.addSession({ agent: 'agent_test', id: 'sess_later', turnAge: '10m' });
    await settled(await give('sess_later'));
    const { turnKey } = world.startTurn('sess_later', { runsFor: null });
    await until(() => reads.some((read) => read.sessionId === 'sess_later' && read.turnKey === turnKey));

    expect(world.session('sess_later')).toMatchObject({ state: 'processing', turnKey });
    const second = await settled(await give('sess_later'));
    expect(second).toMatchObject({ outcome: 'cancelled', turnKey, attempts: 1 });
  });
});

describe('the switch and the key', () => {
  it('I6: nothing leaves while Curfew is paused, and the case goes on after it', async () => {
    simulator.world.addSession({ agent: 'agent_test', id: 'sess_paused', turnAge: '10m' });
    await ledger.pauseSwitch.set(true, 'someone@example.com', 'a test');
    const orderId = await give('sess_paused');
    const standing = async () => (await ledger.orders.views({ orderIds: [orderId] }))[0];
    await until(async () => (await standing())?.phase === 'held');

    expect((await standing())?.result.lastError?.type).toBe('Paused');
    expect(simulator.world.truth('sess_paused').cancels).toEqual([]);
    await ledger.pauseSwitch.set(false, 'someone@example.com', null);
    expect(await settled(orderId)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
  });

  it('I10: nothing is concluded while the key is refused, and the cases go on when it works', async () => {
    const { world } = simulator;
    const ids = ['sess_key_1', 'sess_key_2'];
    for (const id of ids) world.addSession({ agent: 'agent_test', id, turnAge: '10m' });
    world.revokeKey();
    const orderIds = await Promise.all(ids.map((id) => give(id)));
    const views = () => ledger.orders.views({ orderIds });
    await until(async () => (await views()).every(({ phase }) => phase === 'held'));

    expect((await views()).map(({ result }) => result.lastError?.type)).toEqual(['AccountRefused', 'AccountRefused']);
    world.restoreKey();
    for (const orderId of orderIds) expect(await settled(orderId)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
  });
});
