import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import type { FaultInput } from '../../simulator/fault-schema.js';
import { until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome } from '../support/own-home.js';
import { untilSettled } from '../support/standing.js';

/** A hang limit, ms. */
const LIMIT_MS = 300_000;

const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["*"] }
    limits: { max_runtime: 1h }
    mode: enforce
    caps: { max_percent: 100 }
`;

afterAll(closeHomes);

it.concurrent.each<[string, FaultInput]>([
  ['whose transcript is 100 MB long', { fault: 'oversize-body', on: 'retrieve', megabytes: 100, times: 'forever' }],
  [
    'of a vendor that answers after 2.3 s',
    { fault: 'lagging-answer', on: 'retrieve', delay: '2300ms', times: 'forever' },
  ],
  ['of a vendor that answers after 10 s', { fault: 'lagging-answer', on: 'retrieve', delay: '10s', times: 'forever' }],
])(
  'S7: a policy ends a session %s, by one request, and leaves its neighbour alone',
  inOwnHome({ CURFEW_SCAN_INTERVAL: '1s' }, async (own, _title: string, fault: FaultInput) => {
    own.simulator.world.addSession({
      runsFor: null,
      id: 'sess_slow',
      agent: 'agent_test',
      turnAge: '3h',
      faults: [fault],
    });
    own.simulator.world.addSession({ runsFor: null, id: 'sess_young', agent: 'agent_test', turnAge: '5m' });
    const file = join(own.folder, 'policies.yaml');
    writeFileSync(file, POLICIES);
    await own.up(file);
    await own.withLedger(untilSettled);
    expect(await own.curfew('cases', 'sess_slow')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
    const { cancels } = own.simulator.world.truth();
    expect(cancels.map(({ sessionId }) => sessionId)).toEqual(['sess_slow']);
  }),
  LIMIT_MS,
);

it.concurrent(
  'a person orders on an older read: one slow read is enough, and the order says so wherever it is shown',
  inOwnHome({}, async (own) => {
    own.simulator.world.addSession({
      ...{ runsFor: null, id: 'sess_slow', agent: 'agent_test', turnAge: '3h' },
      faults: [{ fault: 'lagging-answer', on: 'retrieve', delay: '3s', times: 'forever' }],
    });
    await own.up();
    interface Orders {
      readonly orders: readonly { readonly outcome: string | null; readonly maxReadAgeMs?: number }[];
    }
    const order = ['cancel', 'sess_slow', '--even-if-read-is-old', '10s', '--wait'];
    expect((await own.curfew<Orders>(...order)).orders).toMatchObject([{ outcome: 'cancelled', maxReadAgeMs: 10_000 }]);
    const [cancelled] = own.simulator.world.truth().cancels;
    expect(cancelled).toMatchObject({ sessionId: 'sess_slow' });
    const { orders } = await own.curfew<Orders>('cases', 'sess_slow');
    expect(orders).toMatchObject([{ maxReadAgeMs: 10_000 }]);
    for (const command of [
      ['cases', 'sess_slow'],
      ['history', '--sessions'],
    ]) {
      expect((await own.run(...command)).stdout).toContain('uses reads up to 10 s old');
    }
  }),
  LIMIT_MS,
);

it.concurrent(
  'a session that can not be read is told of, and shown with what a person can do; its neighbour is ended',
  inOwnHome({}, async (own) => {
    for (const id of ['sess_unread', 'sess_other']) {
      const faults: FaultInput[] =
        id === 'sess_unread' ? [{ fault: 'server-error', on: 'retrieve', times: 'forever' }] : [];
      own.simulator.world.addSession({ runsFor: null, id, agent: 'agent_test', turnAge: '3h', faults });
    }
    await own.up();
    await own.curfew('cancel', 'sess_unread');
    await own.curfew('cancel', 'sess_other', '--wait');
    interface Status {
      readonly notJudgeable: readonly unknown[];
    }
    const unread = async () => (await own.curfew<Status>('status')).notJudgeable;
    await own.withLedger(({ unjudged }) =>
      until(async () => (await unjudged.now({ limit: 1 })).some(({ told }) => told), LIMIT_MS),
    );
    expect(await unread()).toMatchObject([
      { sessionId: 'sess_unread', by: 'case', reason: 'server-error', told: true },
    ]);
    expect((await own.curfew<Status>('cases')).notJudgeable).toHaveLength(1);
    for (const command of [['status'], ['cases'], ['cases', 'sess_unread']]) {
      const { stdout } = await own.run(...command);
      expect(stdout).toContain('sess_unread could not be judged for');
      expect(stdout).toContain('curfew cancel sess_unread --even-if-read-is-old 10s');
    }
    // Nothing else is known of it.
    expect((await own.run('explain', 'sess_unread')).stderr).toContain('sess_unread could not be judged for');
    expect((await own.run('history', '--events')).stdout.match(/not-judgeable/g)).toHaveLength(1);
    expect(own.simulator.world.truth().cancels.map(({ sessionId }) => sessionId)).toEqual(['sess_other']);
  }),
  LIMIT_MS,
);
