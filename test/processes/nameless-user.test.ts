import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OrderResult } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { tell } from '../support/commands.js';
import { runCurfew, startReady, type Settings } from '../support/curfew-process.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { allOrders } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** What Node does for a user id that the system's list of users does not have. */
const NAMELESS = `import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
for (const name of ['homedir', 'userInfo']) {
  os[name] = () => {
    throw new Error('A system error occurred: ' + name + ' returned ENOENT (no such file or directory)');
  };
}
syncBuiltinESMExports();
`;

let own: OwnHome;
let settings: Settings;
beforeAll(async () => {
  own = await openHome();
  const preload = join(own.folder, 'nameless.mjs');
  writeFileSync(preload, NAMELESS);
  settings = { ...own.settings, NODE_OPTIONS: `--import=${preload}` };
}, OBTAIN_LIMIT_MS);
afterAll(() => own.close());

const without = (...names: readonly string[]): Settings =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name)));

describe('a user without a name and without HOME', () => {
  it.each([['up'], ['cancel', 'sess_runaway'], ['cases'], ['doctor']])(
    'is asked for a folder, if it gives none: curfew %s',
    async (...args) => {
      const { code, stdout, stderr } = await runCurfew(args, without('HOME', 'CURFEW_HOME'), own.folder);
      expect({ code, stdout }).toEqual({ code: ExitCode.usage, stdout: '' });
      expect(stderr).toMatch(/^curfew: .*no home folder.*\n {2}next: Set HOME or CURFEW_HOME .*\n$/);
    },
  );

  it('needs no more than CURFEW_HOME, and gives orders under its number', async () => {
    own.simulator.world.addSession({ agent: 'agent_test', id: 'sess_runaway', turnAge: '30m', runsFor: null });
    const homeless = without('HOME');
    const { process: worker } = await startReady(['up'], homeless);
    const { orders } = await tell<{ orders: OrderResult[] }>(['cancel', 'sess_runaway', '--wait'], homeless);
    expect(orders[0]).toMatchObject({ sessionId: 'sess_runaway', outcome: 'cancelled' });
    const [kept] = await own.withLedger(allOrders);
    expect(kept?.result.requestedBy).toBe(`uid-${process.getuid?.()}@${hostname()}`);
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  }, 300_000);
});
