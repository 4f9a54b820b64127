import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { durationOf, LONGEST_MS } from '../../core/duration.js';
import { checkedSessionId, contextOf, withLedger, requester } from '../context.js';
import { iso } from '../../core/times.js';

export function registerExempt(program: Command): void {
  commandNamed(program, 'exempt')
    .description(
      'Sends no cancel request for this session until the time is over, not even for earlier orders; only for orders with --even-if-exempt.',
    )
    .argument('<id>', 'session id')
    .requiredOption('--for <duration>', 'how long: 90s, 30m, 2h, 7d')
    .requiredOption('--reason <text>', 'why')
    .addHelpText('after', '\nExample:\n  $ curfew exempt sess_xYz789AbCd --for 2h --reason "month-end close"')
    .action(async (id: string, options: { for: string; reason: string }, command: Command) => {
      const sessionId = checkedSessionId(id);
      const forMs = durationOf('--for', options.for, { most: LONGEST_MS });
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const { untilMs } = await ledger.exemptions.add({ sessionId, forMs, reason: options.reason, by: requester() });
        const until = iso(untilMs);
        const exempted = { sessionId, exemptUntil: until };
        out.result(exempted, exempted, (view) => `${view.sessionId} is exempt until ${view.exemptUntil}.`);
      });
    });

  commandNamed(program, 'unexempt')
    .description('Ends all exemptions of a session. Orders that were settled as exempted stay settled.')
    .argument('<id>', 'session id')
    .addHelpText('after', '\nExample:\n  $ curfew unexempt sess_xYz789AbCd')
    .action(async (id: string, _options: unknown, command: Command) => {
      const sessionId = checkedSessionId(id);
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const ended = await ledger.exemptions.end(sessionId, requester());
        const document = { sessionId, ended };
        out.result(document, document, (view) =>
          view.ended === 0 ? `${view.sessionId} was not exempt.` : `${view.sessionId} is no longer exempt.`,
        );
      });
    });
}
