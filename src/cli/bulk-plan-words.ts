import { toEnd } from '../core/bulk/totals.js';
import { shell } from '../core/text/shell.js';
import pc from 'picocolors';
import type { BulkStatus, BulkTimes } from '../core/contract.js';
import { count } from './bulk-words.js';
import { factLines, span, table } from './output.js';
import { counted } from './words.js';
import { wholeSeconds } from '../core/times.js';

/** What is left out, in words; other names are told as they are. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  duplicate: 'given more than once',
  blank: 'blank lines and comments',
  malformed: 'lines without a session id',
  capped: 'over the cap, not sent',
  exceptCreator: 'by --except-creator',
  exceptSession: 'by --except-session',
};

/** What a plan holds: its targets by agent and state, a sample, and what it may miss. */
export function planWords({ planId, reason, selection, totals }: BulkStatus): string {
  const { targets, agents, byAgent, byState, sample, leftOut, gaps } = totals;
  const command = selection['command'];
  return [
    [
      `Plan ${pc.bold(planId)}: ${counted(targets, 'session')}${agents > 0 ? ` of ${counted(agents, 'agent')}` : ''}`,
      ...(reason === null ? [] : [`Reason: ${reason}`]),
      ...(typeof command === 'string' ? [`Asked for: ${command}`] : []),
    ].join('\n'),
    ...(targets === 0
      ? []
      : [
          agentTable(byAgent, agents, targets),
          stateLine(byState),
          ...profileLines(totals),
          sampleTable(sample, targets),
        ]),
    ...leftOutLines(leftOut),
    ...gapLines(gaps),
  ].join('\n\n');
}

/** The same for the one who has just made it, with what to type next. */
export function plannedWords(status: BulkStatus, nowMs: number, applyOptions: readonly string[] = []): string {
  const { planId, expiresAt } = status;
  if (toEnd(status) === 0) {
    const nothing = `Nothing to end: no session ${status.totals.targets === 0 ? 'matches' : 'is left under the cap'}. There is nothing to apply, and nothing was sent.`;
    return [planWords(status), nothing].join('\n\n');
  }
  const until =
    expiresAt === null ? '' : `, until ${wholeSeconds(expiresAt)} (in ${span(Date.parse(expiresAt) - nowMs)})`;
  const command = [shell`curfew bulk apply ${planId}`, ...applyOptions].join(' ');
  return [
    planWords(status),
    `Nothing was sent. The plan is frozen: sessions that come later are not in it.\nTo end their current turns${until}:\n  ${pc.bold(command)}`,
  ].join('\n\n');
}

function agentTable(byAgent: BulkStatus['totals']['byAgent'], agents: number, targets: number): string {
  const rows = byAgent.map((agent) => [
    agent.agentId ?? 'not known',
    agent.name ?? '',
    count(agent.targets),
    `${Math.round((agent.targets / targets) * 100)}%`,
  ]);
  const more = agents > byAgent.length ? `\n… and ${counted(agents - byAgent.length, 'more agent')}` : '';
  return `${table(['AGENT', 'NAME', 'SESSIONS', 'SHARE'], rows)}${more}`;
}

const stateLine = (byState: BulkStatus['totals']['byState']): string =>
  `By state: ${Object.entries(byState)
    .map(([state, targets]) => (state === 'unknown' ? `${count(targets)} not known` : `${count(targets)} ${state}`))
    .join(', ')}`;

/** Age, spend and creators: what one checks before ending turns. */
function profileLines({ profile, targets }: BulkStatus['totals']): string[] {
  if (profile === undefined) return [];
  const { turnsBegun, sessionsCreated, credits, creators, byCreator } = profile;
  const of = (known: number): string => (known === targets ? '' : ` (known of ${count(known)} of ${count(targets)})`);
  const times = ({ known, first, last }: BulkTimes): string | null =>
    first === null || last === null
      ? null
      : `oldest ${wholeSeconds(first)}${first === last ? '' : `, newest ${wholeSeconds(last)}`}${of(known)}`;
  const shown = byCreator.map(({ creator, targets: its }) => `${creator ?? 'not known'} ${count(its)}`);
  const unknown = byCreator.some(({ creator }) => creator === null) ? 1 : 0;
  const more = creators + unknown - byCreator.length;
  return [
    factLines(
      [
        ['turns begun', times(turnsBegun) ?? 'not known: lists do not say'],
        ['sessions', times(sessionsCreated)],
        ['credits', credits.known === 0 ? 'not known' : `${count(Math.round(credits.sum))}${of(credits.known)}`],
        ['creators', `${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`],
      ],
      11,
    ),
  ];
}

function sampleTable(sample: BulkStatus['totals']['sample'], targets: number): string {
  const rows = sample.map(({ sessionId, agentId, state }) => [sessionId, agentId ?? '', state ?? '']);
  const text = table([sample.length < targets ? 'SOME OF THEM' : 'SESSION', 'AGENT', 'STATE'], rows);
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function leftOutLines(leftOut: BulkStatus['totals']['leftOut']): string[] {
  const parts = Object.entries(leftOut).map(([name, value]) => `${count(value)} ${LEFT_OUT[name] ?? name}`);
  return parts.length === 0 ? [] : [`Left out: ${parts.join(', ')}`];
}

const gapLines = (gaps: readonly string[]): string[] =>
  gaps.length === 0 ? [] : [gaps.map((gap) => pc.yellow(`Not all may end: ${gap}`)).join('\n')];
