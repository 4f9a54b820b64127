import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { durationOf, LONGEST_MS } from '../../core/duration.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { exemptionDocument, exemptionsTable } from '../exemption-words.js';
import { positiveNumber } from '../option-values.js';
import { checkedSessionId, contextOf, withLedger } from '../context.js';
import { iso } from '../../core/times.js';
import { asOption } from '../requester.js';

/** Listed at most, where nobody says otherwise. */
const SHOWN = 100;

export function registerExempt(program: Command): void {
  const exempt = commandNamed(program, 'exempt')
    .description(
      'Sends no cancel request for this session until the time is over, not even for earlier orders; only for orders with --even-if-exempt. Without an id, lists the exemptions in force.',
    )
    .argument('[id]', 'session id')
    .option('--for <duration>', 'how long: 90s, 30m, 2h, 7d')
    .option('--reason <text>', 'why')
    .addOption(asOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew exempt sess_xYz789AbCd --for 2h --reason "month-end close"\n  $ curfew exempt list',
    )
    .action(async (id: string | undefined, options: { for?: string; reason?: string }, command: Command) => {
      if (id === undefined && options.for === undefined && options.reason === undefined) return list(command, SHOWN);
      const { sessionId, forMs, reason } = asked(id, options);
      const { config, out, by } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const { untilMs } = await ledger.exemptions.add({ sessionId, forMs, reason, by });
        const until = iso(untilMs);
        const exempted = { sessionId, exemptUntil: until };
        out.result(exempted, exempted, (view) => `${view.sessionId} is exempt until ${view.exemptUntil}.`);
      });
    });

  exempt
    .command('list')
    .summary('exemptions in force: who, why, until when')
    .description('Lists the exemptions in force, those of people and those of the policy file, the first to end first.')
    .option('--limit <n>', 'exemptions to show', positiveNumber, SHOWN)
    .action((options: { limit: number }, command: Command) => list(command, options.limit));

  commandNamed(program, 'unexempt')
    .description('Ends all exemptions of a session. Orders that were settled as exempted stay settled.')
    .argument('<id>', 'session id')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew unexempt sess_xYz789AbCd')
    .action(async (id: string, _options: unknown, command: Command) => {
      const sessionId = checkedSessionId(id);
      const { config, out, by } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const ended = await ledger.exemptions.end(sessionId, by);
        const document = { sessionId, ended };
        out.result(document, document, (view) =>
          view.ended === 0 ? `${view.sessionId} was not exempt.` : `${view.sessionId} is no longer exempt.`,
        );
      });
    });
}

/** @throws UserError with exit code 2: what is missing, or wrong */
function asked(
  id: string | undefined,
  options: { readonly for?: string; readonly reason?: string },
): { readonly sessionId: string; readonly forMs: number; readonly reason: string } {
  const missing = [
    ...(id === undefined ? ['the id of a session'] : []),
    ...(options.for === undefined ? ['--for'] : []),
    ...(options.reason === undefined ? ['--reason'] : []),
  ];
  if (id === undefined || options.for === undefined || options.reason === undefined) {
    throw new UserError(
      `An exemption needs an id, an end and a reason; missing: ${missing.join(', ')}. Nothing was changed.`,
      'For example: curfew exempt sess_xYz789AbCd --for 2h --reason "month-end close". More: curfew exempt --help',
      ExitCode.usage,
    );
  }
  const forMs = durationOf('--for', options.for, { most: LONGEST_MS });
  return { sessionId: checkedSessionId(id), forMs, reason: options.reason };
}

async function list(command: Command, limit: number): Promise<void> {
  const { config, out } = contextOf(command);
  await withLedger(config, async (ledger) => {
    const inForce = await ledger.exemptions.list(limit);
    const document = { total: inForce.total, exemptions: inForce.exemptions.map(exemptionDocument) };
    out.result(document, { ...inForce, nowMs: await ledger.now() }, exemptionsTable);
  });
}
