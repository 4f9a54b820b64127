import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { contextOf, withLedger } from '../context.js';
import { span, table } from '../output.js';
import { iso } from '../../core/times.js';
import { asOption } from '../requester.js';

export function registerPause(program: Command): void {
  commandNamed(program, 'pause')
    .description(
      'Pauses in the ledger, so it works while Temporal is down. Cases stay open and keep reading; nothing is sent. Requests already sent can’t be called back, and are listed.',
    )
    .option('--reason <text>', 'why; shown with orders given meanwhile')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew pause --reason "wrong policy rolled out"')
    .action((options: { reason?: string }, command: Command) => turn(command, true, options.reason ?? null));

  commandNamed(program, 'resume')
    .description('Ends the pause. Held cases continue within seconds.')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew resume')
    .action((_options: unknown, command: Command) => turn(command, false, null));
}

async function turn(command: Command, paused: boolean, reason: string | null): Promise<void> {
  const { config, out, by } = contextOf(command);
  await withLedger(config, async (ledger) => {
    const changed = await ledger.pauseSwitch.set(paused, by, reason);
    const state = await ledger.pauseSwitch.read();
    const underWay = await ledger.requests.underWay();
    const held = (await ledger.orders.views({ openOnly: true, limit: 1_000 })).length;
    const nowMs = await ledger.now();
    const document = {
      paused: state.paused,
      changed,
      reason: state.reason,
      changedBy: state.changedBy,
      changedAt: iso(state.changedAtMs),
      openOrders: held,
      underWay: underWay.map(({ sessionId, turnKey, registeredAtMs }) => ({
        sessionId,
        turnKey,
        sentAt: iso(registeredAtMs),
      })),
    };
    out.result(document, { wanted: paused, ...document, underWay, nowMs }, switchWords);
  });
}

interface Switched {
  /** What the command was to do. */
  readonly wanted: boolean;
  readonly changed: boolean;
  readonly reason: string | null;
  readonly changedBy: string | null;
  readonly openOrders: number;
  readonly underWay: readonly {
    readonly sessionId: string;
    readonly turnKey: string;
    readonly registeredAtMs: number;
  }[];
  readonly nowMs: number;
}

function switchWords({ wanted: paused, changed, reason, changedBy, openOrders, underWay, nowMs }: Switched): string {
  const lines = [headline(paused, changed, changedBy, reason)];
  if (paused && underWay.length > 0) {
    lines.push('Already sent and not answered yet; these may still end their turn:');
    const rows = underWay.map((one) => [one.sessionId, one.turnKey, `${span(nowMs - one.registeredAtMs)} ago`]);
    lines.push(table(['SESSION', 'TURN', 'SENT'], rows));
  } else if (paused) {
    lines.push('No cancel request is under way.');
  }
  lines.push(`Open orders: ${openOrders}${paused && openOrders > 0 ? ', kept until `curfew resume`' : ''}.`);
  return lines.join('\n');
}

function headline(paused: boolean, changed: boolean, by: string | null, reason: string | null): string {
  if (!paused) return changed ? 'Resumed: cancel requests may leave again.' : 'Curfew was not paused.';
  const why = reason === null ? '' : `, because: ${reason}`;
  return changed ? 'Paused: no cancel request leaves.' : `Curfew was paused already, by ${by ?? 'someone'}${why}.`;
}
