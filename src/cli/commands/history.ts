import { Option, type Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { GROUPS, type Act, type Grouping, type HistoryGroup } from '../../adapters/ledger/acts.js';
import type { HistoryEvent, HistoryFilter } from '../../adapters/ledger/history.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { OUTCOMES } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { EVENT_KINDS } from '../../core/events.js';
import type { Printable } from '../../core/text/printable.js';
import { checkedSessionId, contextOf, withLedger } from '../context.js';
import {
  actDocument,
  actsCsv,
  actsHeader,
  actsTable,
  groupDocument,
  groupsCsv,
  groupsHeader,
  groupsTable,
} from '../history-acts.js';
import { filterOf, type AskedFor } from '../history-filter.js';
import {
  eventDocument,
  eventsCsv,
  eventsHeader,
  eventsTable,
  ordersCsv,
  ordersHeader,
  ordersTable,
} from '../history-rows.js';
import { positiveNumber } from '../option-values.js';
import type { Output } from '../output.js';
import { jsonLines, writePages } from '../paged-output.js';

/** People read the last ones. */
const SHOWN = 50;
/** Acts that are put together at a time. */
const MOST_ACTS = 10_000;

interface HistoryOptions extends AskedFor {
  readonly events?: boolean;
  readonly sessions?: boolean;
  readonly acts?: boolean;
  readonly groupBy?: Grouping;
  readonly format?: 'json' | 'csv';
}

export function registerHistory(program: Command): void {
  commandNamed(program, 'history')
    .description(
      `What people, policies and cleanups did, a row an act, oldest first, with outcomes; --sessions shows a row per session, --events everything else that happened. Without a format, the last ${SHOWN} as a table. With a format, all, and a document per session.`,
    )
    .option('--session <id>', 'only of this session')
    .option('--since <time>', 'not before: 2h, 7d, today, yesterday, monday, or 2026-01-05T12:00:00Z')
    .option('--until <time>', 'before this')
    .option('--policy <name>', 'only of this policy')
    .option('--job <plan>', 'only of this bulk job: its id, or its beginning')
    .option('--by <name>', 'only by those whose name contains this')
    .option('--agent <name>', 'only sessions of this agent: its id or name, * and ? allowed')
    .addOption(
      new Option('--outcome <names...>', 'only turns with these outcomes; open: none yet').choices([
        ...OUTCOMES,
        'open',
      ]),
    )
    .option('--sessions', 'a row per session instead of a row per act')
    .option('--acts', 'a row per act, with a format, too')
    .addOption(new Option('--group-by <what>', 'count the turns by this').choices(GROUPS))
    .option('--events', 'all events instead of orders')
    .addOption(new Option('--event <kinds...>', 'only events of these kinds').choices(EVENT_KINDS))
    .addOption(new Option('--format <format>', 'json: one JSON document a line; csv').choices(['json', 'csv']))
    .option('--limit <n>', 'show only the last N', positiveNumber)
    .addHelpText(
      'after',
      `
Examples:
  $ curfew history --since yesterday
  $ curfew history --since 7d --policy no-all-nighters --sessions
  $ curfew history --job b-7k2m9xq --outcome forbidden retries-exhausted --sessions
  $ curfew history --since 30d --group-by agent
  $ curfew history --since 2026-01-01 --until 2026-02-01 --format csv > january.csv
  $ curfew history --event policy-applied paused resumed

An act is a bulk job, a run of a cleanup, a command of a person, what a policy ended within a minute, or a policy file put
in force. --since and --until mean the time of the order, or of the event; for a bulk job, when it was applied. Days begin
at midnight UTC. How long the ledger remembers: CURFEW_RETENTION.`,
    )
    .action(async (options: HistoryOptions, command: Command) => {
      const { config, out } = contextOf(command);
      refuseWhatDoesNotFit(options);
      if (options.session !== undefined) checkedSessionId(options.session);
      const format = options.format ?? (out.json ? 'json' : 'table');
      await withLedger(config, async (ledger) => write(out, ledger, await filterOf(options, ledger), options, format));
    });
}

type Format = 'json' | 'csv' | 'table';

function write(
  out: Output,
  ledger: Ledger,
  filter: HistoryFilter,
  { events, event, sessions, acts, groupBy }: HistoryOptions,
  format: Format,
): Promise<void> {
  if (groupBy !== undefined) return writeGroups(out, ledger, filter, groupBy, format);
  const shown = format === 'table' ? { ...filter, last: filter.last ?? SHOWN } : filter;
  if (events === true || event !== undefined) return writeEvents(out, ledger, shown, format);
  const asActs = acts === true || (format === 'table' && sessions !== true);
  return asActs ? writeActs(out, ledger, shown, format) : writeOrders(out, ledger, shown, format);
}

/** What would be left out without a word, if it were taken. @throws UserError with exit code 2 */
function refuseWhatDoesNotFit(options: HistoryOptions): void {
  const { events, event, by, agent, outcome, sessions, acts, groupBy } = options;
  const ways = [
    ['--events', events === true || event !== undefined],
    ['--sessions', sessions === true],
    ['--acts', acts === true],
    ['--group-by', groupBy !== undefined],
  ] as const;
  const given = ways.filter(([, isGiven]) => isGiven).map(([name]) => name);
  if (given.length > 1) {
    throw new UserError(`${given.join(' and ')} do not go together.`, `Use one of them.`, ExitCode.usage);
  }
  const ofOrders = Object.entries({ '--by': by, '--agent': agent, '--outcome': outcome }).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  if (given[0] === '--events' && ofOrders.length > 0) {
    throw new UserError(
      `${ofOrders.join(', ')} select orders, and --events shows events.`,
      'Select events by --event, --session, --policy, --job, --since and --until.',
      ExitCode.usage,
    );
  }
}

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

async function writeActs(out: Output, ledger: Ledger, filter: HistoryFilter, format: Format): Promise<void> {
  const acts = await ledger.history.acts({ ...filter, last: Math.min(filter.last ?? MOST_ACTS, MOST_ACTS) });
  if (acts.length === MOST_ACTS && filter.last !== MOST_ACTS) {
    out.say(`These are the last ${MOST_ACTS.toLocaleString('en-US')} acts. For earlier ones, give --until.`);
  }
  const pages = onePage(acts);
  const lines = (some: readonly Act[]): Printable => jsonLines(some.map(actDocument));
  if (format === 'table') return writeTable(out, pages, actsTable, 'Nothing was ended or ordered.');
  return format === 'json' ? writePages(pages, '', lines) : writePages(pages, actsHeader(), actsCsv);
}

async function writeGroups(
  out: Output,
  ledger: Ledger,
  { last, ...filter }: HistoryFilter,
  grouping: Grouping,
  format: Format,
): Promise<void> {
  const groups = await ledger.history.countedBy(filter, grouping);
  if (format === 'table') {
    return groups.length === 0
      ? out.result([], 'No orders.', (text) => text)
      : out.result(groups, { grouping, groups, most: last ?? SHOWN }, groupsTable);
  }
  const lines = (some: readonly HistoryGroup[]): Printable => jsonLines(some.map(groupDocument));
  const pages = onePage(groups.slice(0, last));
  return format === 'json' ? writePages(pages, '', lines) : writePages(pages, groupsHeader(), groupsCsv);
}

// eslint-disable-next-line @typescript-eslint/require-await -- what is written comes in pages
async function* onePage<T>(rows: readonly T[]): AsyncGenerator<T[]> {
  if (rows.length > 0) yield [...rows];
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
