import { shell } from '../core/text/shell.js';
import pc from 'picocolors';
import type { PolicyStanding } from '../core/policy/standing.js';
import type { Breaker } from '../adapters/ledger/breakers.js';
import type { PauseSwitch } from '../adapters/ledger/pause-switch.js';
import type { OrderView } from '../adapters/ledger/results.js';
import type { UnjudgedSpell } from '../adapters/ledger/unjudged.js';
import type { Facts } from '../core/policy/facts.js';
import { flightOf } from '../core/policy/state.js';
import { WATCH_POLICY } from '../engines/watch/limits.js';
import { factLines, span, type Fact } from './output.js';
import { amount, limitWords, standingDocument, verdictName, whyWords } from './standing-words.js';
import { unjudgedDocument, unjudgedWords } from './obstacle-words.js';
import { readAgeWords, standing } from './words.js';
import { iso } from '../core/times.js';
import { capital } from '../core/text/capital.js';

/** All that is known about what may end one session. */
export interface Explanation {
  readonly sessionId: string;
  /** Vendor's time, ms. */
  readonly nowMs: number;
  readonly facts: Facts;
  /** Whether it was read just now, or is what the ledger remembers. */
  readonly from: 'read' | 'ledger';
  /** Why it could not be read; null when it was. */
  readonly problem: string | null;
  /** Version in force; null: none, or a draft was given. */
  readonly version: number | null;
  /** File that was given instead. */
  readonly draft: string | null;
  /** Of every policy that is on, and of the watch. */
  readonly standings: readonly PolicyStanding[];
  /** Ms; null: not exempt. */
  readonly exemptUntilMs: number | null;
  readonly pauseSwitch: PauseSwitch;
  readonly breakers: readonly Breaker[];
  /** Who registered the open watch; null: there is none. */
  readonly watchedBy: string | null;
  /** The last orders on it, and what bulk jobs ended in it; newest first. */
  readonly orders: readonly OrderView[];
  /** Since when and why it can't be judged; null: it can. */
  readonly unjudged: UnjudgedSpell | null;
  /** Bulk jobs that are about to end its turn: applied, and without an outcome for it. */
  readonly bulkJobs: readonly BulkClaim[];
  /** Some scan has listed its agent; null: its agent is not known. */
  readonly agentWatched: boolean | null;
  /** Age of the last scan; null: there was none. */
  readonly scanAgeMs: number | null;
  readonly isScanning: boolean;
  /** Ledger's clock, ms. */
  readonly ledgerNowMs: number;
}

/** A bulk job that has the session among its targets. */
interface BulkClaim {
  readonly planId: string;
  readonly state: 'running' | 'paused';
  readonly by: string;
  /** It was applied with `--even-if-exempt`. */
  readonly evenIfExempt: boolean;
  /** A cancel request was sent already. */
  readonly sent: boolean;
}

export function explainDocument(explanation: Explanation): unknown {
  const { sessionId, nowMs, facts, from, problem, exemptUntilMs, pauseSwitch, breakers, orders } = explanation;
  const { subject, timeline } = facts;
  const { turn } = timeline;
  return {
    sessionId,
    now: iso(nowMs),
    seen: {
      from,
      at: iso(timeline.seenAtMs),
      problem,
      state: timeline.state,
      ...subject,
      createdAt: iso(facts.createdAtMs),
      credits: timeline.credits,
      tokens: timeline.tokens,
    },
    turn:
      turn === null
        ? null
        : {
            key: turn.key,
            startedAt: iso(turn.startedAtMs),
            firstSeenAt: iso(turn.firstSeenMs),
            confirmedAt: iso(turn.confirmedAtMs),
            stateSince: iso(timeline.stateSinceMs),
          },
    policyVersion: explanation.version,
    verdicts: explanation.standings.map((of) => ({
      ...standingDocument(of),
      breakerOpenSince: iso(breakers.find(({ policy }) => policy === of.policy.name)?.openedAtMs ?? null),
    })),
    exemptUntil: iso(exemptUntilMs),
    paused: pauseSwitch.paused,
    watchedBy: explanation.watchedBy,
    agentWatched: explanation.agentWatched,
    scanning: explanation.isScanning,
    notJudgeable: explanation.unjudged === null ? null : unjudgedDocument(explanation.unjudged),
    bulkJobs: explanation.bulkJobs,
    orders: orders.map(({ result }) => result),
  };
}

export function explainWords(explanation: Explanation): string {
  const { standings, orders, ledgerNowMs } = explanation;
  return [
    pc.bold(headline(explanation)),
    sightWords(explanation),
    ...(standings.length === 0 ? [] : [standings.map((of) => standingWords(of, explanation)).join('\n')]),
    ...(orders.length === 0 ? [] : [orders.map((view) => orderWords(view, ledgerNowMs)).join('\n')]),
    ...holds(explanation),
  ].join('\n\n');
}

/** What will happen to the session, in a sentence or two. */
export function headline(explanation: Explanation): string {
  const { sessionId, facts, standings, orders, exemptUntilMs, pauseSwitch, ledgerNowMs, version, draft } = explanation;
  const keep = `To keep it: ${shell`curfew exempt ${sessionId} --for 2h --reason "…"`}`;
  const { state } = facts.timeline;

  const open = orders.find(({ result }) => result.outcome === null);
  if (open !== undefined) {
    const paused = pauseSwitch.paused ? ' Curfew is paused, so nothing leaves until `curfew resume`.' : '';
    return `Its turn is being ended: ordered by ${open.result.requestedBy}${reasonOf(open)}. State: ${standing(open, ledgerNowMs)}.${paused} To stop that: ${shell`curfew cases abandon ${sessionId} --reason "…"`}`;
  }
  if (flightOf(state) === 'at-rest') return `Nothing will end this session: no turn runs in it (${state}).`;
  const [claim] = explanation.bulkJobs;
  if (claim !== undefined && (exemptUntilMs === null || claim.sent || claim.evenIfExempt)) {
    if (claim.sent) return claimWords(claim);
    return `${claimWords(claim)} ${claim.evenIfExempt ? `To stop that: ${shell`curfew bulk abort ${claim.planId}`}` : keep}`;
  }
  if (exemptUntilMs !== null) {
    const until = `${iso(exemptUntilMs)}, in ${span(exemptUntilMs - ledgerNowMs)}`;
    return `Nothing will end this session before ${until}: it is exempt. After that its limits count again.`;
  }
  if (standings.length === 0) {
    return version === null && draft === null
      ? 'Nothing will end this session: no policies are in force, and nobody watches it.'
      : 'Nothing will end this session: all policies are off, and nobody watches it.';
  }
  const about = standings.filter(({ verdict }) => verdict.kind !== 'not-matching');
  if (about.length === 0)
    return `Nothing will end this session: no policy ${draft === null ? 'in force' : `of ${draft}`} matches it.`;
  if (flightOf(state) === 'unclear') {
    return state === null || (state !== 'approval_required' && state !== 'idle')
      ? `Nothing will end this session while its state is ${state ?? 'unknown'}: Curfew ends nothing that it does not understand.`
      : `Nothing will end this session while it waits (${state}). When it continues, its limits count again.`;
  }

  if (isUnwatched(explanation)) {
    return 'Nothing will end this session for now: a policy matches it, but no worker has seen its agent.';
  }

  const enforcing = about.filter(({ policy }) => policy.mode === 'enforce').sort(bySoonest);
  const [first] = enforcing;
  if (first === undefined) return `Nothing will end this session: ${observingWords(about, explanation)}`;
  const ends = endWords(first, explanation);
  if (ends === null)
    return `Nothing will end this session for now: ${nameOf(first, explanation)} can't decide: ${whyWords(first)}.`;
  const paused = pauseSwitch.paused ? ' But Curfew is paused: nothing leaves until `curfew resume`.' : '';
  return `${ends}${paused} ${keep}`;
}

/** A bulk job means the turn that its plan saw; a newer one is left alone, but for a job with `--fast`. */
function claimWords({ planId, state, by, sent }: BulkClaim): string {
  const job = `bulk job ${planId} (${state}), applied by ${by}`;
  if (sent) return `Its turn is being ended by ${job}: a request was sent.`;
  return state === 'paused'
    ? `When it is resumed, ${job}, ends the turn that its plan has seen, if that still runs.`
    : `The turn that its plan has seen is ended by ${job}, if it still runs.`;
}

/** Over its limits first, then by time; limits without a time last. */
const bySoonest = (a: PolicyStanding, b: PolicyStanding): number =>
  (a.endsAtMs ?? Infinity) - (b.endsAtMs ?? Infinity) || (b.limits[0]?.share ?? 0) - (a.limits[0]?.share ?? 0) || 0;

/** @returns null when the policy can't tell, and so ends nothing */
function endWords(of: PolicyStanding, explanation: Explanation): string | null {
  const { verdict, endsAtMs, limits } = of;
  const name = nameOf(of, explanation);
  const why = verdict.reasons[0]?.text;
  if (verdict.kind === 'cancel') return `${capital(name)} ends its turn now: it ${why ?? 'is over a limit'}.`;
  if (verdict.note === 'in-grace' && endsAtMs !== null) {
    return `${capital(name)} ends its turn in ${span(endsAtMs - explanation.nowMs)}, when its grace is over, unless the turn ends before: it ${why ?? 'is over a limit'}.`;
  }
  if (verdict.note === 'match-unknown') return null;
  const undecided = verdict.kind === 'undecided' ? ` It may be already: ${why ?? 'unknown'}.` : '';
  const time = limits.find(({ unit }) => unit === 'ms');
  const early = time !== undefined && time.leastLeft !== time.left ? 'as soon as ' : '';
  const [usage] = limits.filter(({ unit, left }) => unit !== 'ms' && left !== null);
  const spent = usage === undefined ? null : `${amount(usage.left ?? 0, usage.unit)} more`;
  if (endsAtMs !== null) {
    const sooner = spent === null ? '' : `, or sooner when it uses ${spent}`;
    return `${capital(name)} ends its turn in ${early}${span(endsAtMs - explanation.nowMs)}${sooner}, unless the turn ends before.${undecided}`;
  }
  if (spent !== null)
    return `${capital(name)} ends its turn when it has used ${spent}, unless the turn ends before.${undecided}`;
  return null;
}

function observingWords(about: readonly PolicyStanding[], explanation: Explanation): string {
  const over = about.filter(({ verdict }) => verdict.kind === 'cancel');
  const open = explanation.breakers.filter(({ policy }) => about.some((of) => of.policy.name === policy));
  const only = `the ${about.length === 1 ? 'policy that matches it only observes' : 'policies that match it only observe'}`;
  const would =
    over.length === 0
      ? 'as far as is known it is within their limits.'
      : `${over.map(({ policy }) => policy.name).join(', ')} would, because it ${over[0]?.verdict.reasons[0]?.text ?? 'is over a limit'}.`;
  const breaker =
    open.length === 0
      ? ''
      : ` The breaker of ${open.map(({ policy }) => policy).join(', ')} is open; to close it: ${shell`curfew policy resume ${open[0]?.policy ?? 'NAME'}`}`;
  return `${only}; ${would}${breaker}`;
}

const nameOf = ({ policy }: PolicyStanding, { watchedBy }: Pick<Explanation, 'watchedBy'>): string =>
  policy.name === WATCH_POLICY ? `the watch of ${watchedBy ?? 'someone'}` : `policy ${policy.name}`;

function sightWords({ sessionId, nowMs, facts, from, problem, version, draft }: Explanation): string {
  const { subject, timeline } = facts;
  const { turn } = timeline;
  const agent = [subject.agentName, subject.agentId].filter((part) => part !== null).join(', ');
  const age = `${span(nowMs - timeline.seenAtMs)} ago`;
  const rows: Fact[] = [
    ['session', sessionId],
    ['agent', agent === '' ? null : agent],
    ['creator', subject.creatorEmail ?? subject.creatorId],
    [
      'state',
      `${timeline.state ?? 'unknown'}, ${from === 'read' ? 'read just now' : `last seen ${age} (from the ledger: ${problem ?? 'not read'})`}`,
    ],
    ['turn', turn === null ? null : turnWords(turn.key, turn.startedAtMs, turn.firstSeenMs, nowMs)],
    ['spent', timeline.credits === null ? null : `${amount(timeline.credits, 'credits')} over the life of the session`],
    ['used', timeline.tokens === null ? null : `${amount(timeline.tokens, 'tokens')} over the life of the session`],
    [
      'policies',
      draft === null ? (version === null ? 'none in force' : `version ${version}`) : `${draft}, which is not in force`,
    ],
  ];
  return factLines(rows, 9);
}

function turnWords(key: string | null, startedAtMs: number | null, firstSeenMs: number, nowMs: number): string {
  const name = key ?? 'not named yet';
  const since = startedAtMs ?? firstSeenMs;
  const how = startedAtMs === null ? 'first seen' : 'its message came';
  return `${name}; ${how} ${iso(since)}, ${span(nowMs - since)} ago`;
}

function standingWords(of: PolicyStanding, explanation: Explanation): string {
  const { policy, verdict, limits, endsAtMs } = of;
  const mode = policy.name === WATCH_POLICY ? 'watch' : modeOf(of, explanation);
  const head = `${nameOf(of, explanation)} (${mode}): ${verdictName(of)}`;
  if (verdict.kind === 'not-matching') return `${head}: does not match this session`;
  const lines = verdict.reasons.map((reason) => {
    const since = reason.brokenAtMs === null ? '' : `; over it since ${iso(reason.brokenAtMs)}`;
    return `${reason.limit}: ${reason.text}${since}`;
  });
  const said = new Set<string>(verdict.reasons.map(({ limit }) => limit));
  lines.push(...limits.filter(({ limit }) => !said.has(limit)).map((limit) => limitWords(limit)));
  if (lines.length === 0) lines.push(whyWords(of));
  if (verdict.note === 'in-grace' && endsAtMs !== null) lines.push(`grace until ${iso(endsAtMs)}`);
  return [head, ...lines.map((line) => `  ${line}`)].join('\n');
}

const modeOf = ({ policy }: PolicyStanding, { breakers }: Explanation): string =>
  breakers.some((breaker) => breaker.policy === policy.name) ? 'observes: its breaker is open' : policy.mode;

function orderWords(view: OrderView, nowMs: number): string {
  const { result } = view;
  const ago = `${span(nowMs - Date.parse(result.orderedAt))} ago`;
  const readAge = readAgeWords(result);
  return `order ${ago} by ${result.requestedBy}${reasonOf(view)}${readAge === null ? '' : ` (${readAge})`}: ${standing(view, nowMs)}`;
}

const reasonOf = ({ result: { reason } }: OrderView): string => {
  const version = reason.policyVersion === null ? '' : ` (version ${reason.policyVersion})`;
  return reason.text === null ? version : `${version}, because: ${reason.text}`;
};

/** Workers scan, and its agent is in none of their lists. A watch looks at the session itself. */
const isUnwatched = ({ agentWatched, isScanning, version, draft, watchedBy }: Explanation): boolean =>
  agentWatched === false && isScanning && version !== null && draft === null && watchedBy === null;

/** What keeps policies from acting, or from knowing. */
function holds(explanation: Explanation): string[] {
  const { pauseSwitch, isScanning, scanAgeMs, version, draft, ledgerNowMs, facts, standings, unjudged } = explanation;
  const lines: string[] = [];
  if (unjudged !== null) lines.push(unjudgedWords(unjudged, ledgerNowMs));
  if (pauseSwitch.paused) {
    const since = pauseSwitch.changedAtMs === null ? '' : ` for ${span(ledgerNowMs - pauseSwitch.changedAtMs)}`;
    lines.push(`Curfew is paused${since}${pauseSwitch.reason === null ? '' : ` (${pauseSwitch.reason})`}.`);
  }
  if (!isScanning && version !== null && draft === null) {
    const last = scanAgeMs === null ? 'has scanned yet' : `has scanned for ${span(scanAgeMs)}`;
    lines.push(`No worker ${last}: nothing is ended by policy until one runs (curfew up).`);
  }
  if (isUnwatched(explanation) && standings.some(({ verdict }) => verdict.kind !== 'not-matching')) {
    const { agentName, agentId, teamId } = facts.subject;
    const team = teamId === null ? '' : ` of team ${teamId}`;
    lines.push(
      `No scan has listed agent ${agentName ?? agentId ?? ''}${team}: a new agent is seen within a minute or two; one that the worker's key does not show never is (curfew status says which teams are watched).`,
    );
  }
  return lines.length === 0 ? [] : [pc.yellow(lines.join('\n'))];
}
