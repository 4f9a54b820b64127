import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { OrderEvent } from '../../src/core/contract.js';
import { readCoverage } from '../../src/adapters/ledger/coverage.js';
import { tellWhenNoScanEnds } from '../../src/engines/fleet/coverage-watch.js';
import { keepEnforcing } from '../../src/worker/keepers/policies.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { makeHome, removeHome, until } from '../support/embedded-server.js';

const MINUTE = 60_000;
const logger = () => ({ debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() });

let home: string;
let ledger: Ledger;
beforeEach(async () => {
  home = makeHome();
  ledger = await openLedger(`${home}/ledger.db`, { migrate: true });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await ledger.close();
  removeHome(home);
});

async function lost(): Promise<OrderEvent[]> {
  const events: OrderEvent[] = [];
  for await (const page of ledger.history.events({ kinds: ['coverage-lost'] })) {
    events.push(...page.map(({ event }) => event));
  }
  return events;
}

describe('I5: a fleet that nobody has scanned yet', () => {
  it('is told as lost when the first scan is missing for two minutes, once, with what is in the way', async () => {
    const log = logger();
    expect(await readCoverage(ledger)).toBeNull();
    await tellWhenNoScanEnds(ledger, log, 2 * MINUTE - 1_000, null);
    expect(await lost()).toEqual([]);
    await tellWhenNoScanEnds(ledger, log, 2 * MINUTE, 'Something is in the way.');
    await tellWhenNoScanEnds(ledger, log, 3 * MINUTE, 'Something is in the way.');
    expect(await lost()).toEqual([
      expect.objectContaining({
        problem: expect.stringMatching(/^No scan has ended since 2\S+Z\. Something is in the way\.$/) as unknown,
        unreadable: 0,
      }),
    ]);
    expect(log.error).toHaveBeenCalledTimes(1);
  });

  it('is told although the workflow over the fleet can’t be started, and says why', async () => {
    const sourceText =
      'version: 1\npolicies:\n  - { name: p, match: { agents: ["*"] }, limits: { max_runtime: 45m } }\n';
    const { file } = readPolicyFile(sourceText, 'curfew.yaml');
    await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText, by: 'a test' });
    let tries = 0;
    const client = {
      workflow: {
        start: () => {
          tries += 1;
          return Promise.reject(new Error('Temporal is busy.'));
        },
      },
    };
    const [log, stopping] = [logger(), new AbortController()];
    const loop = keepEnforcing(ledger, client as never, log, stopping.signal);
    try {
      await until(() => tries > 0);
      expect(await lost()).toEqual([]);
      const now = performance.now.bind(performance);
      jest.spyOn(performance, 'now').mockImplementation(() => now() + 2 * MINUTE);
      await until(async () => (await lost()).length > 0);
      expect(await lost()).toEqual([
        expect.objectContaining({ problem: expect.stringContaining('Temporal is busy.') as unknown }),
      ]);
    } finally {
      stopping.abort();
      await loop;
    }
  });
});
