import { Option, type Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { HistoryEvent, HistoryFilter } from '../../adapters/ledger/history.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { checkedSessionId, contextOf, withLedger } from '../context.js';
import {
  eventDocument,
  eventsCsv,
  eventsHeader,
  eventsTable,
  ordersCsv,
  ordersHeader,
  ordersTable,
} from '../history-rows.js';
import { positiveNumber, readMoment } from '../option-values.js';
import type { Output } from '../output.js';
import { jsonLines, writePages } from '../paged-output.js';
import type { Printable } from '../../core/text/printable.js';

/** People read the last ones. */
const SHOWN = 50;

interface HistoryOptions {
  readonly session?: string;
  readonly since?: string;
  readonly until?: string;
  readonly policy?: string;
  readonly events?: boolean;
  readonly format?: 'json' | 'csv';
  readonly limit?: number;
}

export function registerHistory(program: Command): void {
  commandNamed(program, 'history')
    .description(
      `Orders in the ledger and what bulk jobs ended, oldest first, with outcomes; with --events, everything else that happened too. Without a format, the last ${SHOWN} as a table; with one, all.`,
    )
    .option('--session <id>', 'only of this session')
    .option('--since <time>', 'not before: 2h, 7d, or 2026-01-05T12:00:00Z')
    .option('--until <time>', 'before this')
    .option('--policy <name>', 'only of this policy')
    .option('--events', 'all events instead of orders')
    .addOption(new Option('--format <format>', 'json: one JSON document a line; csv').choices(['json', 'csv']))
    .option('--limit <n>', 'show only the last N', positiveNumber)
    .addHelpText(
      'after',
      `
Examples:
  $ curfew history --since 7d --policy no-all-nighters
  $ curfew history --since 2026-01-01 --until 2026-02-01 --format csv > january.csv
  $ curfew history --events --session sess_xYz789AbCd --json

--since and --until mean the time of the order, or of the event; for a bulk job, when it was applied. How long the ledger remembers: CURFEW_RETENTION.`,
    )
    .action(async (options: HistoryOptions, command: Command) => {
      const { config, out } = contextOf(command);
      const sessionId = options.session === undefined ? undefined : checkedSessionId(options.session);
      const format = options.format ?? (out.json ? 'json' : 'table');
      await withLedger(config, async (ledger) => {
        const filter = filterOf(options, sessionId, format === 'table' ? SHOWN : undefined, await ledger.now());
        await (options.events === true
          ? writeEvents(out, ledger, filter, format)
          : writeOrders(out, ledger, filter, format));
      });
    });
}

function filterOf(
  options: HistoryOptions,
  sessionId: string | undefined,
  usualLimit: number | undefined,
  nowMs: number,
): HistoryFilter {
  const sinceMs = options.since === undefined ? undefined : readMoment(options.since, '--since', nowMs);
  const untilMs = options.until === undefined ? undefined : readMoment(options.until, '--until', nowMs);
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
    throw new UserError('--until is not after --since, so nothing is in between.', 'Swap the two.', ExitCode.usage);
  }
  const last = options.limit ?? usualLimit;
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
    ...(last === undefined ? {} : { last }),
  };
}

type Format = 'json' | 'csv' | 'table';

function writeOrders(out: Output, ledger: Ledger, filter: HistoryFilter, format: Format): Promise<void> {
  const pages = ledger.history.orders(filter);
  const lines = (views: readonly OrderView[]): Printable => jsonLines(views.map(({ result }) => result));
  if (format === 'table') return writeTable(out, pages, ordersTable, 'No orders.');
  return format === 'json' ? writePages(pages, '', lines) : writePages(pages, ordersHeader(), ordersCsv);
}

function writeEvents(out: Output, ledger: Ledger, filter: HistoryFilter, format: Format): Promise<void> {
  const pages = ledger.history.events(filter);
  const lines = (events: readonly HistoryEvent[]): Printable => jsonLines(events.map(eventDocument));
  if (format === 'table') return writeTable(out, pages, eventsTable, 'No events.');
  return format === 'json' ? writePages(pages, '', lines) : writePages(pages, eventsHeader(), eventsCsv);
}

async function writeTable<T>(
  out: Output,
  pages: AsyncGenerator<T[]>,
  textOf: (rows: readonly T[]) => string,
  none: string,
): Promise<void> {
  const rows: T[] = [];
  for await (const page of pages) rows.push(...page);
  if (rows.length === 0) out.result([], none, (text) => text);
  else out.result(rows, rows, textOf);
}
