import type { TemporalTarget } from '../../adapters/temporal/connection.js';
import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { caseWorkflowId, ENDED_OUTCOMES, REFUSED_OUTCOMES, type OrderResult } from '../../core/contract.js';
import { idsFromList } from '../ids.js';
import { readDuration } from '../../core/duration.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { FRESH_READ_MS, OLDEST_READ_MS } from '../../core/policy/fresh-read.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { startRefusal } from '../../adapters/temporal/start-refusal.js';
import { checkedSessionIds, contextOf, type CommandContext } from '../context.js';
import { withControlPlane, type ControlPlane } from '../control-plane.js';
import { followOrders } from '../follow.js';
import { table, type Output } from '../output.js';
import { INTERRUPTED, onInterrupt } from '../interrupt.js';
import { outcomeName, outcomeWords, standing } from '../words.js';
import { planIds } from './bulk-plan.js';
import { asOption } from '../requester.js';

/** More targets than this are no longer a handful that a person has looked at one by one. */
const MOST_IDS = 100;
const AT_ONCE = 10;
/** How long to wait for a worker to take a case up, ms. */
const JOIN_PATIENCE_MS = 8_000;
/** Without `--wait`: how long to wait for the first word about each session, ms. */
const FIRST_WORD_MS = 5_000;

interface CancelOptions {
  readonly reason?: string;
  readonly wait?: boolean;
  readonly evenIfExempt?: boolean;
  readonly evenIfReadIsOld?: string;
}

export function registerCancel(program: Command): void {
  commandNamed(program, 'cancel')
    .description(
      'Orders the end of the turn that each session runs now, and leaves a turn that starts later alone. The order is durable: Curfew carries it out even if this command, a worker or the server dies.',
    )
    .argument('<ids...>', 'session ids')
    .option('--reason <text>', 'why; shown with what ended the session')
    .option('--wait', 'wait until each turn is seen to have ended, or has another outcome')
    .option('--even-if-exempt', 'also end sessions that are exempt')
    .addOption(asOption())
    .option(
      '--even-if-read-is-old <duration>',
      'for slow sessions: use a read up to this old instead of 2s, at most 60s; may end a turn that began since',
    )
    .addHelpText(
      'after',
      `
More than ${MOST_IDS} sessions become a bulk plan: nothing is sent until you apply it.

Examples:
  $ curfew cancel sess_xYz789AbCd --wait
  $ curfew cancel sess_1 sess_2 --reason "loops since noon" --wait
  $ curfew cancel sess_1 --even-if-read-is-old 10s --wait
  $ curfew cancel --wait -- -odd-id           an id that begins with - goes last, after --
  $ curfew cancel sess_1 --wait --json | jq -r '.orders[0].outcome'

Exit codes: without --wait 0 when ordered; with --wait 0 when no ordered turn runs any more,
3 when a rule refused one (exempt, capped) or it only became a plan, 5 when one did not end, 4 when Curfew can't be reached.`,
    )
    .action(async (ids: string[], options: CancelOptions, command: Command) => {
      process.exitCode = await cancel(ids, options, command);
    });
}

async function cancel(ids: readonly string[], options: CancelOptions, command: Command): Promise<number> {
  const sessionIds = checkedSessionIds(ids);
  const maxReadAgeMs = readAgeOf(options.evenIfReadIsOld);
  const context = contextOf(command);
  if (sessionIds.length > MOST_IDS) {
    if (maxReadAgeMs === null) return planInstead(sessionIds, options, context);
    throw new UserError(
      `--even-if-read-is-old is for at most ${MOST_IDS} sessions that someone has checked. Nothing was ordered.`,
      'Use a separate command for the sessions that take long to read.',
      ExitCode.usage,
    );
  }
  const { config, out, by } = context;
  return withControlPlane(config, async (plane) => {
    const pauseSwitch = await plane.ledger.pauseSwitch.read();
    if (pauseSwitch.paused) {
      const why = pauseSwitch.reason === null ? '' : ` (${pauseSwitch.reason})`;
      out.say(`Curfew is paused${why}: orders are kept, and are carried out after \`curfew resume\`.`);
    }
    const orderIds = await order(plane, sessionIds, { ...options, maxReadAgeMs, by }, out);
    const interrupt = onInterrupt();
    const enough = options.wait === true ? allSettled : firstWord(Date.now() + FIRST_WORD_MS);
    const views = await followOrders(plane.ledger, orderIds, out, enough, interrupt.signal);
    interrupt.dispose();
    const results = views.map(({ result }) => result);

    if (interrupt.signal.aborted) {
      out.say('');
      out.say(
        `Stopped waiting; the ${sessionIds.length === 1 ? 'case continues' : 'cases continue'}. Look again: ${casesCommand(sessionIds[0] ?? '')}`,
      );
    }
    out.result({ orders: results }, { views, target: plane.target, waited: options.wait === true }, describe);
    if (interrupt.signal.aborted) return INTERRUPTED;
    return options.wait === true ? exitCodeOf(results) : ExitCode.done;
  });
}

/**
 * Up to 2 s are every order's, and a read that is older than a minute says too little of the turn that runs now.
 *
 * @returns ms; null: not given
 */
export function readAgeOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const read = readDuration(text, { least: FRESH_READ_MS + 1, most: OLDEST_READ_MS });
  if ('value' in read) return read.value;
  throw new UserError(
    `--even-if-read-is-old ${read.problem}. Nothing was ordered.`,
    'More than 2s, which every order has; at most 60s, because by then another turn may run: --even-if-read-is-old 10s.',
    ExitCode.usage,
  );
}

/** Nothing is ordered before a person has seen how many it is, and said so: the plan is to be applied. */
async function planInstead(
  sessionIds: readonly string[],
  { reason, wait, evenIfExempt }: CancelOptions,
  context: CommandContext,
): Promise<number> {
  context.out.say(`${sessionIds.length} sessions are more than ${MOST_IDS}, so this becomes a plan to confirm.`);
  const written = { command: 'curfew cancel with the same ids', ids: sessionIds.length };
  const applyOptions = [...(evenIfExempt === true ? ['--even-if-exempt'] : []), ...(wait === true ? ['--wait'] : [])];
  const planned = await planIds(context, idsFromList(sessionIds), { written, reason: reason ?? null }, applyOptions);
  // Whoever waits for the end must not take a plan for it.
  return planned === ExitCode.done && wait === true ? ExitCode.refused : planned;
}

/** Each order is in the ledger before its case is started: whatever fails after that, a worker takes it up. */
async function order(
  plane: ControlPlane,
  sessionIds: readonly string[],
  options: CancelOptions & { readonly maxReadAgeMs: number | null; readonly by: string },
  out: Output,
): Promise<string[]> {
  const orderIds: string[] = [];
  let waiting = false;
  const refused: { readonly sessionId: string; readonly refusal: string }[] = [];
  for (let first = 0; first < sessionIds.length; first += AT_ONCE) {
    const batch = sessionIds.slice(first, first + AT_ONCE).map(async (sessionId) => {
      const orderId = await plane.ledger.orders.create({
        sessionId,
        source: 'person',
        requestedBy: options.by,
        reason: { text: options.reason ?? null, policy: null, policyVersion: null, limit: null, observed: null },
        evenIfExempt: options.evenIfExempt === true,
        maxReadAgeMs: options.maxReadAgeMs,
        turnKey: null,
      });
      try {
        if ((await plane.cases.join(sessionId, orderId, JOIN_PATIENCE_MS)) === 'no-worker-yet') waiting = true;
      } catch (error) {
        const refusal = startRefusal(error);
        if (refusal === null) waiting = true;
        else refused.push({ sessionId, refusal });
      }
      return orderId;
    });
    orderIds.push(...(await Promise.all(batch)));
  }
  for (const { sessionId, refusal } of refused) {
    out.say(
      `Temporal does not start the case of ${sessionId}: ${refusal}. The order is kept and NOTHING IS SENT for it; a worker tries again each minute. To give it up: ${shell`curfew cases abandon ${sessionId} --reason "…"`}`,
    );
  }
  if (waiting) {
    out.say(
      'The orders are kept, but no worker answered yet. A worker carries them out as soon as one runs: `curfew up`, or see `curfew doctor`.',
    );
  }
  return orderIds;
}

const allSettled = (views: readonly OrderView[]): boolean => views.every(({ result }) => result.outcome !== null);

/** Each order has an outcome, or a request was sent, or something is in the way; or it takes too long. */
const firstWord =
  (untilMs: number) =>
  (views: readonly OrderView[]): boolean =>
    Date.now() > untilMs ||
    views.every(({ result }) => result.outcome !== null || result.attempts > 0 || result.lastError !== null);

/** Contract: 0 no ordered turn runs any more, 3 refused by a rule, otherwise 5. */
export function exitCodeOf(results: readonly OrderResult[]): number {
  const outcomes = results.map((result) => result.outcome);
  if (outcomes.every((outcome) => outcome !== null && ENDED_OUTCOMES.includes(outcome))) return ExitCode.done;
  if (outcomes.some((outcome) => outcome !== null && REFUSED_OUTCOMES.includes(outcome))) return ExitCode.refused;
  return ExitCode.someNotEnded;
}

/** What is known of a turn after the ordered one; null when none was seen. */
function newerTurnNote({ sessionId, events }: OrderResult): string | null {
  const happened = (kind: string): boolean => events.some((event) => event.kind === kind);
  if (happened('may-have-hit-newer-turn')) {
    return `${sessionId} began a new turn while the request was on its way: the request may have ended that one. See docs/outcomes.md.`;
  }
  return happened('restarted') ? `${sessionId} has started a new turn since; it was left alone.` : null;
}

const casesCommand = (sessionId: string): string => shell`curfew cases ${sessionId}`;

interface Ordered {
  readonly views: readonly OrderView[];
  readonly target: TemporalTarget;
  readonly waited: boolean;
}

function describe({ views, target, waited }: Ordered): string {
  const rows = views.map((view) => [
    view.result.sessionId,
    view.result.outcome === null ? 'open' : outcomeName(view.result.outcome),
    String(view.result.attempts),
    view.result.outcome === null ? standing(view, Date.now()) : outcomeWords(view.result),
  ]);
  const text = table(['SESSION', 'OUTCOME', 'REQUESTS', 'WHAT IT MEANS'], rows);
  const notes = views.flatMap(({ result }) => newerTurnNote(result) ?? []);
  const open = views.find(({ result }) => result.outcome === null);
  if (open !== undefined && !waited) {
    notes.push(`Ordered, not ended yet. Look again: ${casesCommand(open.result.sessionId)}`);
  }
  if (open !== undefined && target.kind === 'embedded' && target.uiUrl !== null) {
    const path = `namespaces/${target.namespace}/workflows/${encodeURIComponent(caseWorkflowId(open.result.sessionId))}`;
    notes.push(`In Temporal: ${target.uiUrl}/${path}`);
  }
  return [text, ...notes].join('\n');
}
