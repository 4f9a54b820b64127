import { isScanning } from '../core/coverage.js';
import { shell } from '../core/text/shell.js';
import pc from 'picocolors';
import type { Coverage } from '../adapters/ledger/coverage.js';
import type { LiveSession, LiveSessions } from '../engines/fleet/live-sessions.js';
import type { HoldMark } from '../adapters/ledger/hold-mark.js';
import { NEVER_SHOWN, teamsWords } from '../engines/fleet/teams-words.js';
import { MOST_WAITING, type Undelivered } from '../engines/notify/undelivered.js';
import type { Breaker } from '../adapters/ledger/breakers.js';
import type { PauseSwitch } from '../adapters/ledger/pause-switch.js';
import type { PoliciesInForce } from '../adapters/ledger/policy-versions.js';
import type { OrderView } from '../adapters/ledger/results.js';
import type { UnjudgedSpell } from '../adapters/ledger/unjudged.js';
import type { Stranger } from '../adapters/temporal/stranger-notes.js';
import { exemptionsSummary, exemptWords, type ExemptionsInForce } from './exemption-words.js';
import { heldWords, holdDocument, trippedWords, unjudgedDocument, unjudgedWords } from './obstacle-words.js';
import { modeCounts, policiesWords } from './in-force-words.js';
import { factLines, span, table, type Fact } from './output.js';
import { amount, leftWords, limitLeft, standingDocument, verdictName } from './standing-words.js';
import { counted, shorten, standing } from './words.js';
import { iso } from '../core/times.js';

/** All that `curfew status` shows, as the ledger has it. */
export interface Status {
  /** Ledger's clock, ms. */
  readonly nowMs: number;
  readonly inForce: PoliciesInForce;
  readonly pauseSwitch: PauseSwitch;
  /** Null: the vendor holds no requests back. */
  readonly hold: HoldMark | null;
  /** What workers have found under ids of Curfew in Temporal that is not Curfew's. */
  readonly strangers: readonly Stranger[];
  readonly breakers: readonly Breaker[];
  /** At most 1,000. */
  readonly openOrders: readonly OrderView[];
  /** Sessions that can't be judged, the longest first. At most 1,000. */
  readonly unjudged: readonly UnjudgedSpell[];
  /** At most 1,000. */
  readonly openWatches: number;
  /** Exemptions in force: how many, and the first to end. */
  readonly exempt: ExemptionsInForce;
  /** What waits for each notification route in force. */
  readonly notices: readonly Undelivered[];
  readonly live: LiveSessions;
}

const STUCK_SHOWN = 5;

export function statusDocument(status: Status): unknown {
  const { nowMs, inForce, pauseSwitch, hold, strangers, breakers, openOrders, live } = status;
  return {
    now: iso(nowMs),
    policies:
      inForce.kind === 'known'
        ? {
            version: inForce.inForce.version,
            file: inForce.inForce.fileName,
            appliedAt: iso(inForce.inForce.appliedAtMs),
            appliedBy: inForce.inForce.appliedBy,
            ...modeCounts(inForce.inForce.file.policies),
          }
        : inForce.kind === 'too-new'
          ? { version: inForce.version, tooNew: true }
          : null,
    pause: {
      paused: pauseSwitch.paused,
      reason: pauseSwitch.reason,
      changedBy: pauseSwitch.changedBy,
      changedAt: iso(pauseSwitch.changedAtMs),
    },
    requestsHeld: holdDocument(hold),
    strangers,
    breakers: breakers.map(({ policy, openedAtMs, reason }) => ({ policy, openedAt: iso(openedAtMs), ...reason })),
    cases: { openOrders: openOrders.length, stuck: stuckOf(openOrders).map(({ result }) => result) },
    notJudgeable: status.unjudged.map(unjudgedDocument),
    watches: { open: status.openWatches },
    exemptions: exemptionsSummary(status.exempt),
    notices: status.notices.map(({ route, waiting, oldestAtMs, trouble }) => ({
      ...{ route, waiting, oldestAt: iso(oldestAtMs) },
      lastError: trouble === null ? null : { at: iso(trouble.atMs), message: trouble.message },
    })),
    coverage: live.coverage === null ? null : coverageDocument(live.coverage, nowMs),
    live: {
      count: live.count,
      nearest: live.nearest.map(({ sessionId, agentId, agentName, state, seenAtMs, exempt, standing: of }) => ({
        sessionId,
        agentId,
        agentName,
        state,
        seenAt: iso(seenAtMs),
        exempt,
        verdict: standingDocument(of),
      })),
    },
  };
}

const coverageDocument = (coverage: Coverage, nowMs: number): unknown => {
  const { atMs, completeAtMs, ...rest } = coverage;
  return { ...rest, at: iso(atMs), completeAt: iso(completeAtMs), scanning: isScanning(coverage, nowMs) };
};

export function statusWords(status: Status): string {
  return [headWords(status), nearestWords(status.live)].join('\n\n');
}

function headWords(status: Status): string {
  const { nowMs, inForce, pauseSwitch, hold, strangers, breakers, openOrders, unjudged, openWatches, exempt, live } =
    status;
  const rows: Fact[] = [
    ['policies', policiesWords({ inForce })],
    ['sending', pauseWords(pauseSwitch, nowMs)],
    ['held', hold === null ? null : pc.yellow(heldWords(hold, nowMs))],
    ...strangers.slice(0, STUCK_SHOWN).map(({ says, next }): Fact => ['stranger', pc.bold(pc.red(`${says} ${next}`))]),
    ...breakers.map(({ policy, openedAtMs, reason }): Fact => [
      'breaker',
      pc.yellow(
        `${policy} only observes since ${span(nowMs - openedAtMs)}, because ${trippedWords(reason)}. Let it enforce again: ${shell`curfew policy resume ${policy}`}`,
      ),
    ]),
    ['cases', casesWords(openOrders)],
    ...stuckOf(openOrders)
      .slice(0, STUCK_SHOWN)
      .map((view): Fact => ['stuck', pc.yellow(`${view.result.sessionId}: ${shorten(standing(view, nowMs), 140)}`)]),
    ...unjudgedRows(unjudged, nowMs),
    ...noticeRows(status.notices, nowMs),
    ['watches', openWatches === 0 ? null : `${atLeast(openWatches)} open`],
    ['exempt', exemptWords(exempt, nowMs)],
    ...coverageLines(live, nowMs, inForce.kind === 'none').map((text, index): Fact => [
      index === 0 ? 'fleet' : '',
      text,
    ]),
  ];
  return factLines(rows, 9);
}

function unjudgedRows(unjudged: readonly UnjudgedSpell[], nowMs: number): Fact[] {
  const shown = unjudged.slice(0, STUCK_SHOWN).map((spell) => unjudgedWords(spell, nowMs));
  const more =
    unjudged.length > shown.length
      ? [`${atLeast(unjudged.length)} sessions in all can't be judged: --json has them`]
      : [];
  return [...shown, ...more].map((text) => ['unjudged', pc.yellow(text)]);
}

/** A minute is a busy moment; more is a receiver that is away, ms. */
const WAITS_IN_VAIN_MS = 60_000;

/** Of routes that do not take what they are told. */
function noticeRows(notices: readonly Undelivered[], nowMs: number): Fact[] {
  return notices.flatMap(({ route, waiting, oldestAtMs, trouble }) => {
    const ageMs = oldestAtMs === null ? 0 : nowMs - oldestAtMs;
    if (waiting === 0 || (trouble === null && ageMs <= WAITS_IN_VAIN_MS)) return [];
    const many =
      waiting === MOST_WAITING
        ? `${MOST_WAITING} notices or more wait`
        : counted(waiting, 'notice waits', 'notices wait');
    const why = trouble === null ? '' : `; last try ${span(nowMs - trouble.atMs)} ago: ${trouble.message}`;
    const text = `${route}: ${many}, the oldest for ${span(ageMs)}${why}. To test it: curfew doctor --notify`;
    return [['notices', pc.yellow(text)] as const];
  });
}

function pauseWords({ paused, reason, changedBy, changedAtMs }: PauseSwitch, nowMs: number): string {
  if (!paused) return 'on';
  const since = changedAtMs === null ? '' : ` since ${span(nowMs - changedAtMs)}`;
  const why = reason === null ? '' : `: ${reason}`;
  return pc.yellow(
    `PAUSED${since} by ${changedBy ?? 'someone'}${why}. No cancel request leaves until \`curfew resume\`.`,
  );
}

function casesWords(orders: readonly OrderView[]): string {
  if (orders.length === 0) return 'none open';
  const sessions = new Set(orders.map(({ result }) => result.sessionId)).size;
  return `${atLeast(orders.length)} open ${orders.length === 1 ? 'order' : 'orders'} on ${sessions} ${sessions === 1 ? 'session' : 'sessions'}: curfew cases --open`;
}

const atLeast = (count: number): string => (count >= 1_000 ? `${count} or more` : String(count));

/** Orders that someone was told about, because they have been tried in vain for a while; and those that are held. */
const stuckOf = (orders: readonly OrderView[]): OrderView[] =>
  orders.filter(({ phase, result }) => phase === 'held' || result.events.some(({ kind }) => kind === 'not-ending'));

function coverageLines({ coverage, count }: LiveSessions, nowMs: number, nothingInForce: boolean): string[] {
  if (coverage === null) {
    return [
      nothingInForce
        ? 'not watched: no policies are in force'
        : pc.yellow('not seen yet: no worker has scanned. Start one: curfew up'),
    ];
  }
  const { atMs, completeAtMs, agents, live, unreadable, notFound, teams, problem } = coverage;
  const lines = [
    `${counted(agents, 'agent')}, ${counted(count, 'live session')} (${live.processing} processing, ${live.queued} queued), last scan ${span(nowMs - atMs)} ago`,
  ];
  if (!isScanning(coverage, nowMs)) {
    lines.push(
      pc.bold(
        pc.red(
          `NO WORKER SCANS: the last scan is ${span(nowMs - atMs)} old. Nothing is ended by policy until one runs: curfew up`,
        ),
      ),
    );
  }
  if (problem !== null) lines.push(pc.yellow(`the last scan failed: ${problem}`));
  if (completeAtMs !== atMs) {
    const last = completeAtMs === null ? 'there was none yet' : `the last one was ${span(nowMs - completeAtMs)} ago`;
    lines.push(pc.yellow(`the last scan was not complete; ${last}`));
  }
  if (unreadable.count > 0) {
    const [first] = unreadable.first;
    const example =
      first === undefined ? '' : `, such as ${first.name ?? first.agentId}: ${shorten(first.problem, 120)}`;
    lines.push(pc.yellow(`${unreadable.count} ${unreadable.count === 1 ? 'agent' : 'agents'} can't be read${example}`));
  }
  if (notFound.length > 0) {
    lines.push(
      pc.yellow(`named in the policies, but the key shows no such agent: ${shorten(notFound.join(', '), 200)}`),
    );
  }
  if (teams !== null) {
    const { seen, missing } = teamsWords(teams);
    lines.push(shorten(seen, 200), ...missing.map((text) => pc.yellow(shorten(text, 300))), pc.dim(NEVER_SHOWN));
  }
  return lines;
}

function nearestWords({ nearest, count, nowMs }: LiveSessions): string {
  if (nearest.length === 0) {
    return count === 0 ? 'No live session is known.' : 'No live session that a policy matches.';
  }
  const rows = nearest.map((session) => rowOf(session, nowMs));
  const text = table(['SESSION', 'AGENT', 'STATE', 'POLICY', 'LIMIT', 'SEEN', 'LEFT'], rows);
  return count > rows.length ? `${text}\n… ${rows.length} of ${count} live sessions (--limit)` : text;
}

function rowOf({ sessionId, agentId, agentName, state, standing: of }: LiveSession, nowMs: number): string[] {
  const reason = of.verdict.reasons[0];
  // What the verdict rests on, else the limit that is nearest.
  const limit = of.limits.find((one) => one.limit === reason?.limit) ?? of.limits[0];
  const left = of.verdict.kind === 'undecided' && limit !== undefined ? limitLeft(limit) : leftWords(of, nowMs);
  const name = verdictName(of);
  return [
    sessionId,
    shorten(agentName ?? agentId ?? '', 24),
    state ?? 'unknown',
    of.policy.name,
    limit === undefined ? '' : `${limit.limit} ${amount(limit.limitValue, limit.unit)}`,
    limit === undefined ? '' : limit.observed === null ? 'unknown' : amount(limit.observed, limit.unit),
    name === 'keep' ? left : [name, ...(left === '' || of.verdict.kind === 'cancel' ? [] : [left])].join(', '),
  ];
}
