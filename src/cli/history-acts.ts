import type { Act, HistoryGroup, Standing, Standings } from '../adapters/ledger/acts.js';
import { ENDED_OUTCOMES, OUTCOMES } from '../core/contract.js';
import { amountText } from '../core/policy/reason.js';
import type { LimitUnit } from '../core/policy/reading.js';
import { csv } from '../core/text/csv.js';
import type { Printable } from '../core/text/printable.js';
import { iso, wholeSeconds } from '../core/times.js';
import { table } from './output.js';
import { counted, outcomeName, shorten } from './words.js';

/** An act as JSON has it: one document a line. */
export const actDocument = ({ atMs, lastMs, lastEndedAtMs, standings, turns, ...act }: Act) => ({
  at: iso(atMs),
  lastAt: iso(lastMs),
  ...act,
  turns,
  outcomes: standings,
  ended: endedOf(standings),
  lastEndedAt: iso(lastEndedAtMs),
});

const ACT_COLUMNS = [
  ...['at', 'lastAt', 'kind', 'by', 'planId', 'cleanup', 'policy', 'policyVersion', 'fileName', 'sessionId'],
  ...['turns', 'ended', 'outcomes', 'limits', 'lastEndedAt', 'reason'],
] as const;

export const actsHeader = (): Printable => csv([[...ACT_COLUMNS]]);

export const actsCsv = (acts: readonly Act[]): Printable =>
  csv(
    acts.map((act) => {
      const record: Readonly<Record<string, unknown>> = {
        ...actDocument(act),
        outcomes: pairs(act.standings),
        limits: act.limits.map(({ name }) => name).join(' '),
      };
      return ACT_COLUMNS.map((column) => record[column]);
    }),
  );

/** For people: a row an act. */
export function actsTable(acts: readonly Act[]): string {
  const rows = acts.map((act) => [
    wholeSeconds(iso(act.atMs)),
    act.by,
    didWords(act),
    act.turns === 0 ? '–' : act.turns.toLocaleString('en-US'),
    standingsWords(act.standings),
    act.lastEndedAtMs === null ? '–' : endedWords(act.lastEndedAtMs, act.atMs),
    shorten(whyWords(act), 80),
  ]);
  return [
    table(['WHEN', 'WHO', 'DID', 'TURNS', 'OUTCOMES', 'LAST END', 'WHY'], rows),
    '',
    'A row per session: --sessions. One session in full: curfew cases ID --evidence. Everything: --format csv or json.',
  ].join('\n');
}

function didWords({ kind, planId, cleanup, policy, policyVersion, fileName, sessionId, limits }: Act): string {
  const one = sessionId === null ? '' : ` ${sessionId}`;
  switch (kind) {
    case 'bulk':
      return `bulk ${planId ?? ''}`;
    case 'cleanup':
      return `cleanup ${cleanup ?? ''} (${planId ?? ''})`;
    case 'policies':
      return `policies v${policyVersion ?? '?'} of ${fileName ?? ''}`;
    case 'policy': {
      const names = [...new Set(limits.map(({ name }) => name))];
      return `${[policy, ...names].join(', ')}, v${policyVersion ?? '?'}${one}`;
    }
    default:
      return `${kind}${one}`;
  }
}

/** A policy's reason is how far its limits were broken. */
function whyWords({ kind, reason, limits, policyVersion }: Act): string {
  if (kind === 'policies' && policyVersion !== null) {
    return policyVersion === 1 ? 'curfew policy show 1' : `curfew policy diff ${policyVersion - 1} ${policyVersion}`;
  }
  if (kind !== 'policy') return reason ?? '–';
  return limits
    .map(({ unit, limit, least, most }) => {
      const [from, to] = [amountText(least, unit as LimitUnit), amountText(most, unit as LimitUnit)];
      return `${from === to ? from : `${from} to ${to}`} of ${amountText(limit, unit as LimitUnit)}`;
    })
    .join('; ');
}

const ORDER: readonly Standing[] = [...OUTCOMES, 'open', 'untouched'];
const inOrder = (standings: Standings): [Standing, number][] =>
  ORDER.flatMap((name): [Standing, number][] => {
    const count = standings[name] ?? 0;
    return count === 0 ? [] : [[name, count]];
  });

const nameOf = (name: Standing): string => (name === 'open' || name === 'untouched' ? name : outcomeName(name));

/** "398 cancelled, 2 forbidden"; of one turn just "cancelled". */
function standingsWords(standings: Standings): string {
  const parts = inOrder(standings);
  const [only] = parts;
  if (only === undefined) return '–';
  if (parts.length === 1 && only[1] === 1) return nameOf(only[0]);
  return parts.map(([name, count]) => `${count.toLocaleString('en-US')} ${nameOf(name)}`).join(', ');
}

const pairs = (standings: Standings): string =>
  inOrder(standings)
    .map(([name, count]) => `${name}=${count}`)
    .join(' ');

/** Turns that are over, by us or not. */
const endedOf = (standings: Standings): number =>
  ENDED_OUTCOMES.reduce((sum, outcome) => sum + (standings[outcome] ?? 0), 0);

/** By the vendor's clock. The day is left out where it is that of the act. */
function endedWords(endedAtMs: number, actAtMs: number): string {
  const ended = wholeSeconds(iso(endedAtMs));
  return ended.slice(0, 10) === iso(actAtMs).slice(0, 10) ? ended.slice(11) : ended;
}

export const groupDocument = ({ key, turns, standings }: HistoryGroup) => ({
  ...{ key, turns, ended: endedOf(standings), outcomes: standings },
});

const GROUP_COLUMNS = ['key', 'turns', 'ended', 'outcomes'] as const;
export const groupsHeader = (): Printable => csv([[...GROUP_COLUMNS]]);
export const groupsCsv = (groups: readonly HistoryGroup[]): Printable =>
  csv(groups.map(({ key, turns, standings }) => [key, turns, endedOf(standings), pairs(standings)]));

export interface GroupsView {
  readonly grouping: string;
  readonly groups: readonly HistoryGroup[];
  /** Shown at most. */
  readonly most: number;
}

/** For people: a row a group, and the sum. */
export function groupsTable({ grouping, groups, most }: GroupsView): string {
  const rows = groups
    .slice(0, most)
    .map(({ key, turns, standings }) => [
      key ?? '–',
      turns.toLocaleString('en-US'),
      endedOf(standings).toLocaleString('en-US'),
      standingsWords(standings),
    ]);
  const sum = groups.reduce((turns, group) => turns + group.turns, 0);
  const left = groups.length - rows.length;
  return [
    table([grouping.toUpperCase(), 'TURNS', 'ENDED', 'OUTCOMES'], rows),
    '',
    `${counted(sum, 'turn')} in ${counted(groups.length, 'group')}${left > 0 ? `; ${left} not shown, --limit shows more` : ''}.`,
  ].join('\n');
}
