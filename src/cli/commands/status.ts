import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { readLiveSessions } from '../../engines/fleet/live-sessions.js';
import { createRulesReader, type RulesReader } from '../../engines/fleet/rules-in-force.js';
import { readUndelivered } from '../../engines/notify/undelivered.js';
import { readHold } from '../../adapters/ledger/hold-mark.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { readStrangers } from '../../adapters/temporal/stranger-notes.js';
import { contextOf, withLedger } from '../context.js';
import { showLive } from '../follow.js';
import { statusDocument, statusWords, type Status } from '../status-words.js';
import { wholeNumber } from '../option-values.js';

/** Orders that are counted; more than this are "or more". */
const MOST_OPEN_ORDERS = 1_000;

export function registerStatus(program: Command): void {
  commandNamed(program, 'status')
    .description(
      'Shows policies in force, pause switch, breakers, open cases, how much of the fleet is seen, and the live sessions nearest to their limits. Reads only the ledger, so it works while Temporal and the API are down.',
    )
    .option('--watch', 'refresh every 2 s until Ctrl-C')
    .option('--limit <n>', 'sessions to show', wholeNumber, 20)
    .addHelpText('after', '\nExamples:\n  $ curfew status\n  $ curfew status --watch --limit 40')
    .action(async (options: { watch?: boolean; limit: number }, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const rules = createRulesReader(ledger);
        const look = () => readStatus(ledger, rules, options.limit);
        if (options.watch === true) await showLive(look, statusDocument, statusWords, out);
        else {
          const status = await look();
          out.result(statusDocument(status), status, statusWords);
        }
      });
    });
}

async function readStatus(ledger: Ledger, reader: RulesReader, limit: number): Promise<Status> {
  const rules = await reader.read();
  const policies = rules.kind === 'known' ? rules.rules.policies : [];
  const inForce = await ledger.policies.inForce();
  const [notices, pauseSwitch, breakers, openOrders, watches, live, hold, unjudged, strangers, exempt, nowMs] =
    await Promise.all([
      readUndelivered(ledger, inForce),
      ledger.pauseSwitch.read(),
      ledger.breakers.open(),
      ledger.orders.views({ openOnly: true, limit: MOST_OPEN_ORDERS }),
      ledger.watches.open(MOST_OPEN_ORDERS),
      readLiveSessions(ledger, policies, limit),
      readHold(ledger),
      ledger.unjudged.now({ limit: MOST_OPEN_ORDERS }),
      readStrangers(ledger),
      ledger.exemptions.list(1),
      ledger.now(),
    ]);
  return {
    ...{ nowMs, inForce, pauseSwitch, hold, strangers, breakers, openOrders, unjudged, exempt, notices, live },
    openWatches: watches.length,
  };
}
