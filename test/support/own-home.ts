import { dirname } from 'node:path';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import { startSimulator, type Simulator, type SimulatorOptions } from '../../simulator/index.js';
import { tell } from './commands.js';
import {
  runCurfew,
  settingsFor,
  startReady,
  stopEverything,
  type CurfewProcess,
  type Ended,
  type Settings,
} from './curfew-process.js';
import { makeHome, removeHome } from './embedded-server.js';
import { usingLedger } from './standing.js';

/** A home and a vendor that no other test knows of: tests that mostly wait can do so side by side. */
export interface OwnHome {
  /** CURFEW_HOME. */
  readonly home: string;
  /** Holds the home, and stands for the user's own folder. */
  readonly folder: string;
  readonly simulator: Simulator;
  /** For every `curfew` process of this home. */
  readonly settings: Settings;
  /** Starts `curfew up` and waits until it is ready. */
  up(...args: string[]): Promise<CurfewProcess>;
  /** Runs a command to its end. */
  run(...args: string[]): Promise<Ended>;
  /** Runs a command with `--json`. @returns what it says @throws {Error} with its messages unless it ends with 0 */
  curfew<T>(...args: string[]): Promise<T>;
  withLedger<T>(use: (ledger: Ledger) => Promise<T>): Promise<T>;
  /** Ends the processes of this home, and removes it. */
  close(): Promise<void>;
}

const open = new Set<OwnHome>();

/** Settings besides those of the vendor, over which they win; made from the folder where they name files. */
export type MoreSettings = Settings | ((folder: string) => Settings);

/**
 * @param more - what the test is about
 * @param vendor - the simulator, and the agents that it has; default `agent_test`
 */
export async function openHome(
  more: MoreSettings = {},
  { agents = ['agent_test'], ...vendor }: SimulatorOptions & { readonly agents?: readonly string[] } = {},
): Promise<OwnHome> {
  const home = makeHome();
  const folder = dirname(home);
  const simulator = await startSimulator({ slots: 1_000, ...vendor });
  for (const id of agents) simulator.world.addAgent({ id });
  const its = typeof more === 'function' ? more(folder) : more;
  const settings = await settingsFor(folder, {
    GUMLOOP_BASE_URL: simulator.url,
    ...('GUMLOOP_API_KEY_FILE' in its ? {} : { GUMLOOP_API_KEY: simulator.apiKey }),
    GUMLOOP_USER_ID: simulator.userId,
    ...its,
  });
  const own: OwnHome = {
    ...{ home, folder, simulator, settings },
    up: async (...args) => (await startReady(['up', ...args], settings)).process,
    run: (...args) => runCurfew(args, settings),
    curfew: <T>(...args: string[]) => tell<T>(args, settings),
    withLedger: (use) => usingLedger(home, use),
    async close() {
      if (!open.delete(own)) return;
      await stopEverything(settings);
      await simulator.close();
      removeHome(home);
    },
  };
  open.add(own);
  return own;
}

/** A test in a home of its own, for `it.concurrent`, which knows no `beforeEach`. */
export const inOwnHome =
  <A extends readonly unknown[]>(
    more: MoreSettings,
    story: (own: OwnHome, ...args: A) => Promise<void>,
  ): ((...args: A) => Promise<void>) =>
  async (...args) => {
    const own = await openHome(more);
    try {
      await story(own, ...args);
    } finally {
      await own.close();
    }
  };

/** Closes those that tests have left open because their time was over. */
export async function closeHomes(): Promise<void> {
  await Promise.all([...open].map((own) => own.close()));
}
