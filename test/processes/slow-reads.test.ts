import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import type { FaultInput } from '../../simulator/fault-schema.js';
import { until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome } from '../support/own-home.js';

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
    // Fails while there is no order yet.
    const outcome = async (): Promise<unknown> => {
      const { code, stdout } = await own.run('cases', 'sess_slow', '--json');
      if (code !== 0) return null;
      return (JSON.parse(stdout) as { orders: readonly { outcome: string | null }[] }).orders[0]?.outcome ?? null;
    };
    await until(async () => (await outcome()) !== null, LIMIT_MS);
    expect(await outcome()).toBe('cancelled');
    const { cancels } = own.simulator.world.truth();
    expect(cancels.map(({ sessionId }) => sessionId)).toEqual(['sess_slow']);
  }),
  LIMIT_MS,
);
