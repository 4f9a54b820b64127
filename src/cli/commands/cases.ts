import { printable } from '../../core/text/printable.js';
import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import pc from 'picocolors';
import type { Config } from '../../platform/config.js';
import { bulkWorkflowId, caseWorkflowId } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { readHold, type HoldMark } from '../../adapters/ledger/hold-mark.js';
import { jobOfView, viewsOfSession } from '../../adapters/ledger/session-views.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { readServerNote } from '../../adapters/temporal/server-note.js';
import type { UnjudgedSpell } from '../../adapters/ledger/unjudged.js';
import { showEvidence } from '../case-evidence.js';
import { checkedSessionId, contextOf, withLedger } from '../context.js';
import { heldWords, holdDocument, unjudgedDocument, unjudgedWords } from '../obstacle-words.js';
import { factLines, span, table, type Fact } from '../output.js';
import { noOrderOpen } from '../no-order-open.js';
import { asOption } from '../requester.js';
import { outcomeName, readAgeWords, shorten, standing } from '../words.js';

const RECENT = 50;
const UNJUDGED_SHOWN = 5;

export function registerCases(program: Command): void {
  const cases = commandNamed(program, 'cases')
    .description(
      'Shows open and recent cases, newest first; with an id, everything about that session’s orders, and what bulk jobs ended in it.',
    )
    .argument('[id]', 'session id')
    .option('--open', 'only open ones')
    .option('--evidence', 'all that the ledger holds of one session: reads, requests, answers, times, rules')
    .addHelpText(
      'after',
      `
Examples:
  $ curfew cases                     what is going on
  $ curfew cases sess_xYz789AbCd     one session, with errors and events
  $ curfew cases sess_xYz789AbCd --evidence
  $ curfew cases retry sess_1        do not wait for the next try
  $ curfew cases abandon sess_1 --reason "owner takes over"`,
    )
    .action(async (id: string | undefined, options: { open?: boolean; evidence?: boolean }, command: Command) => {
      const { config, out } = contextOf(command);
      const sessionId = id === undefined ? undefined : checkedSessionId(id);
      if (options.evidence === true) {
        if (sessionId === undefined || options.open === true) throw evidenceOfOne();
        return withLedger(config, (ledger) => showEvidence(ledger, out, sessionId));
      }
      await withLedger(config, async (ledger) => {
        const openOnly = options.open === true;
        const views =
          sessionId === undefined || openOnly
            ? await ledger.orders.views({ ...(sessionId === undefined ? {} : { sessionId }), openOnly, limit: RECENT })
            : await viewsOfSession(ledger, sessionId, RECENT);
        const nowMs = await ledger.now();
        const hold = await readHold(ledger);
        const unjudged = await ledger.unjudged.now({
          ...(sessionId === undefined ? {} : { sessionId }),
          limit: RECENT,
        });
        if (sessionId !== undefined && views.length === 0) {
          throw new UserError(
            `No order was ever given for ${sessionId}.`,
            `To end its current turn: ${shell`curfew cancel ${sessionId} --wait`}`,
            ExitCode.failed,
          );
        }
        const document = {
          orders: views.map(({ result }) => result),
          requestsHeld: holdDocument(hold),
          notJudgeable: unjudged.map(unjudgedDocument),
        };
        const orders = { views, nowMs, hold, unjudged };
        if (sessionId === undefined) out.result(document, orders, (view) => `${heldFirst(view)}${overview(view)}`);
        else {
          const withAddress = { ...orders, address: await addressOf(config) };
          out.result(document, withAddress, (view) => `${heldFirst(view)}${details(view)}`);
        }
      });
    });

  cases
    .command('retry')
    .summary('try now instead of at the next try')
    .description('Makes the case of a session try again at once, and starts it if it was lost.')
    .argument('<id>', 'session id')
    .action(async (id: string, _options: unknown, command: Command) => {
      const { retryCase } = await import('../retry-case.js');
      await retryCase(checkedSessionId(id), contextOf(command));
    });

  cases
    .command('abandon')
    .summary('give up the open orders on a session')
    .description(
      'Gives up the open orders on a session: no further request is sent. A request under way can’t be called back.',
    )
    .argument('<id>', 'session id')
    .requiredOption('--reason <text>', 'why')
    .addOption(asOption())
    .action(async (id: string, options: { reason: string }, command: Command) => {
      const { config, out, by } = contextOf(command);
      const sessionId = checkedSessionId(id);
      await withLedger(config, async (ledger) => {
        const open = await ledger.orders.views({ sessionId, openOnly: true, limit: 1_000 });
        if (open.length === 0) throw noOrderOpen(sessionId);
        await ledger.orders.abandon(
          open.map(({ orderId }) => orderId),
          { by, reason: options.reason },
        );
        const views = await ledger.orders.views({ orderIds: open.map(({ orderId }) => orderId) });
        out.result({ orders: views.map(({ result }) => result) }, { views, nowMs: Date.now() }, overview);
      });
    });
}

const evidenceOfOne = (): UserError =>
  new UserError(
    '--evidence is about one session, open or not. Nothing was shown.',
    'Give its id, without --open: curfew cases sess_xYz789AbCd --evidence',
    ExitCode.usage,
  );

interface Orders {
  readonly views: readonly OrderView[];
  readonly nowMs: number;
}

interface Hindrances {
  readonly hold: HoldMark | null;
  readonly unjudged: readonly UnjudgedSpell[];
  readonly nowMs: number;
}

const heldFirst = ({ hold, unjudged, nowMs }: Hindrances): string => {
  const shown = unjudged.slice(0, UNJUDGED_SHOWN).map((spell) => unjudgedWords(spell, nowMs));
  const more = unjudged.length > shown.length ? ['More sessions can’t be judged: curfew status'] : [];
  const lines = [...(hold === null ? [] : [heldWords(hold, nowMs)]), ...shown, ...more];
  return lines.length === 0 ? '' : `${pc.yellow(lines.join('\n'))}\n\n`;
};

function overview({ views, nowMs }: Orders): string {
  if (views.length === 0) return 'No cases. To end the current turn of a session: curfew cancel ID --wait';
  const rows = views.map((view) => [
    view.result.sessionId,
    view.result.outcome === null ? view.phase : outcomeName(view.result.outcome),
    String(view.result.attempts),
    `${span(nowMs - Date.parse(view.result.orderedAt))} ago`,
    view.result.requestedBy,
    view.result.outcome === null ? shorten(standing(view, nowMs), 90) : shorten(view.result.reason.text ?? '', 90),
  ]);
  return table(['SESSION', 'STATE', 'REQUESTS', 'ORDERED', 'BY', 'NOTE'], rows);
}

/** The embedded server may listen elsewhere than the `temporal` CLI expects. Broken settings are another command's affair. */
async function addressOf(config: Config): Promise<string | null> {
  // Without a server of this home there is nothing to show, and no reason to load what reads settings of others.
  if (readServerNote(config.home) === null) return null;
  try {
    const { resolveTemporal } = await import('../../adapters/temporal/connection-target.js');
    const target = resolveTemporal(config);
    return target.kind === 'embedded' ? target.address : null;
  } catch {
    return null;
  }
}

function details({ views, nowMs, address }: Orders & { readonly address: string | null }): string {
  const blocks = views.map((view) => {
    const { result } = view;
    const rows: Fact[] = [
      ['session', result.sessionId],
      ['agent', result.agentId],
      ['turn', result.turnKey],
      ['stands', standing(view, nowMs)],
      ['requests', String(result.attempts)],
      ['ordered', `${result.orderedAt} by ${result.requestedBy}`],
      ['reason', result.reason.text],
      ['read age', readAgeWords(result)],
      ['ended', result.endedAt],
      ['last error', result.lastError === null ? null : `${result.lastError.at} ${result.lastError.message}`],
      ...result.events.map(({ at, kind, ...data }): Fact => ['event', `${at} ${kind} ${JSON.stringify(data)}`]),
    ];
    return factLines(rows, 11);
  });
  const [newest] = views;
  if (newest?.holder != null) {
    const worker = printable(newest.holder);
    return `${blocks.join('\n\n')}\n\ncarried out by worker ${worker}, without a case in Temporal`;
  }
  const planId = newest === undefined ? null : jobOfView(newest);
  const id = planId === null ? caseWorkflowId(newest?.result.sessionId ?? '') : bulkWorkflowId(planId);
  const there = address === null ? '' : shell` --address ${address}`;
  const describe = `temporal workflow describe${there}${shell` --workflow-id ${id}`}`;
  return `${blocks.join('\n\n')}\n\nin Temporal  ${describe}`;
}
