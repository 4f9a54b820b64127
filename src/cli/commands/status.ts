import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { readLiveSessions } from '../../engines/fleet/live-sessions.js';
import { createRulesReader, type RulesReader } from '../../engines/fleet/rules-in-force.js';
import { readHold } from '../../adapters/ledger/hold-mark.js';
import { LedgerUnavailableError } from '../../adapters/ledger/errors.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { readStrangers } from '../../adapters/temporal/strangers.js';
import { contextOf, openExistingLedger } from '../context.js';
import { onInterrupt } from '../interrupt.js';
import type { Output } from '../output.js';
import { statusDocument, statusWords, type Status } from '../status-words.js';
import { wholeNumber } from '../whole-number.js';

const REFRESH_MS = 2_000;
/** Orders that are counted; more than this are "or more". */
const MOST_OPEN_ORDERS = 1_000;

export function registerStatus(program: Command): void {
  program
    .command('status')
    .summary('what is in force, what is happening, which sessions are near their limits')
    .description(
      'Shows policies in force, pause switch, breakers, open cases, how much of the fleet is seen, and the live sessions nearest to their limits. Reads only the ledger, so it works while Temporal and the API are down.',
    )
    .option('--watch', 'refresh every 2 s until Ctrl-C')
    .option('--limit <n>', 'sessions to show', wholeNumber, 20)
    .addHelpText('after', '\nExamples:\n  $ curfew status\n  $ curfew status --watch --limit 40')
    .action(async (options: { watch?: boolean; limit: number }, command: Command) => {
      const { config, out } = contextOf(command, true);
      const ledger = await openExistingLedger(config);
      try {
        const rules = createRulesReader(ledger);
        if (options.watch === true) await follow(ledger, rules, options.limit, out);
        else {
          const status = await readStatus(ledger, rules, options.limit);
          out.result(statusDocument(status), status, statusWords);
        }
      } finally {
        await ledger.close();
      }
    });
}

async function readStatus(ledger: Ledger, reader: RulesReader, limit: number): Promise<Status> {
  const rules = await reader.read();
  const policies = rules.kind === 'known' ? rules.rules.policies : [];
  const [inForce, pauseSwitch, breakers, openOrders, watches, live, hold, unjudged, strangers, nowMs] =
    await Promise.all([
      ledger.policies.inForce(),
      ledger.pauseSwitch.read(),
      ledger.breakers.open(),
      ledger.orders.views({ openOnly: true, limit: MOST_OPEN_ORDERS }),
      ledger.watches.open(MOST_OPEN_ORDERS),
      readLiveSessions(ledger, policies, limit),
      readHold(ledger),
      ledger.unjudged.now({ limit: MOST_OPEN_ORDERS }),
      readStrangers(ledger),
      ledger.now(),
    ]);
  return {
    ...{ nowMs, inForce, pauseSwitch, hold, strangers, breakers, openOrders, unjudged, live },
    openWatches: watches.length,
  };
}

async function follow(ledger: Ledger, rules: RulesReader, limit: number, out: Output): Promise<void> {
  const interrupt = onInterrupt();
  while (!interrupt.signal.aborted) {
    try {
      const status = await readStatus(ledger, rules, limit);
      if (out.page.live)
        out.page.redraw(status, (seen) => `${statusWords(seen)}\n\nRefreshed every 2 s. Ctrl-C ends it.`);
      else out.result(statusDocument(status), status, (seen) => `${statusWords(seen)}\n`);
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      if (out.page.live) out.page.redraw(error.message, (message) => `${message} Waiting for it.`);
      else out.say(`${error.message} Waiting for it.`);
    }
    await sleep(REFRESH_MS, undefined, { signal: interrupt.signal }).catch(() => {});
  }
  interrupt.dispose();
  out.page.finish();
}
