import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ENDED_OUTCOMES, REFUSED_OUTCOMES, type OrderMet, type WatchStatus } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { LimitChanges } from '../../adapters/ledger/watches.js';
import { startRefusal } from '../../adapters/temporal/start-refusal.js';
import { orderMetText } from '../../engines/watch/change.js';
import {
  limitChanges,
  limitsText,
  optionName,
  WATCH_LIMIT_NAMES,
  type WatchLimitName,
} from '../../engines/watch/limits.js';
import { readLimit } from '../../engines/watch/request.js';
import { readStatus } from '../../engines/watch/status.js';
import { checkedSessionId, contextOf, type CommandContext } from '../context.js';
import { withControlPlane, type ControlPlane } from '../control-plane.js';
import { follow } from '../follow.js';
import { INTERRUPTED, onInterrupt } from '../interrupt.js';
import { span, type Output } from '../output.js';
import { outcomeName, outcomeWords } from '../words.js';
import { asOption } from '../requester.js';

/** How long to wait for the first look, which tells the deadline, ms. */
const FIRST_LOOK_MS = 5_000;
/** What takes a limit away. */
const NONE = 'none';
const EXAMPLE = 'For example: curfew watch sess_xYz789AbCd --max-runtime 20m --max-credits 500';

type WatchOptions = { readonly [K in WatchLimitName]?: string } & {
  readonly release?: boolean;
  readonly reason?: string;
  readonly wait?: boolean;
};

export function registerWatch(program: Command): void {
  commandNamed(program, 'watch')
    .description(
      'Watches one session until it is at rest, and ends a turn that breaks a limit. The watch is durable: it continues without this command. Run it again to change the limits of the open watch; other limits stay, and "none" removes one.',
    )
    .argument('<id>', 'session id')
    .option('--max-runtime <duration>', 'one turn processing: 20m, 1h30m')
    .option('--max-continuous-runtime <duration>', 'unbroken processing, whatever messages came: 3h')
    .option('--max-queue-time <duration>', 'one turn waiting: 5m')
    .option('--max-credits <amount>', 'one turn: 500, 2k')
    .option('--max-session-credits <amount>', 'life of the session: 5000')
    .option('--max-tokens <amount>', 'one turn, input and output: 500k, 2M')
    .option('--release', 'end the watch; the session may go on')
    .option('--reason <text>', 'why; shown with what ended the session')
    .option('--wait', 'wait until the watch ends')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew watch sess_xYz789AbCd --max-runtime 20m --reason "nightly import"
  $ curfew watch sess_xYz789AbCd --max-runtime 40m          more time for the same session
  $ curfew watch sess_xYz789AbCd --release --reason "a person took over"
  $ curfew watch sess_xYz789AbCd --max-tokens 2M --wait --json | jq -r .ending

Exit codes: without --wait 0 when registered; with --wait 0 when the session came to rest, by itself or ended by this
watch, 3 when a rule refused to end it (exempt), 5 otherwise (released, gone), 4 when Curfew can't be reached.`,
    )
    .action(async (id: string, options: WatchOptions, command: Command) => {
      process.exitCode = await watch(id, options, command);
    });
}

async function watch(id: string, options: WatchOptions, command: Command): Promise<number> {
  const sessionId = checkedSessionId(id);
  const limits = limitsOf(options);
  const isRelease = options.release === true;
  if (isRelease && Object.keys(limits).length > 0) {
    throw new UserError('Give a watch limits, or release it, but not both. Nothing was done.', EXAMPLE, ExitCode.usage);
  }
  if (isRelease && options.wait === true) {
    throw new UserError('A released watch has nothing to wait for.', 'Leave out --wait.', ExitCode.usage);
  }
  if (!isRelease && Object.keys(limits).length === 0) {
    throw new UserError('A watch needs a limit; none was given. Nothing was registered.', EXAMPLE, ExitCode.usage);
  }
  const context = contextOf(command);
  return withControlPlane(context.config, async (plane) => {
    return isRelease
      ? await release(plane, sessionId, options, context)
      : await register(plane, sessionId, limits, options, context);
  });
}

type Asking = Pick<CommandContext, 'out' | 'by'>;

async function release(
  plane: ControlPlane,
  sessionId: string,
  options: WatchOptions,
  { out, by }: Asking,
): Promise<number> {
  const { ledger } = plane;
  const released = await ledger.watches.release(sessionId, { by, reason: options.reason ?? null });
  if (released.kind === 'not-open') {
    const { watch: closed } = released;
    throw new UserError(
      closed === null
        ? `${sessionId} is not watched.`
        : `The watch of ${sessionId} is over already (${closed.ending}).`,
      `There is nothing to release; \`${shell`curfew cases ${sessionId}`}\` shows orders on it.`,
    );
  }
  // The ledger has it: a workflow that can't be told reads it there at its next look.
  await plane.watches.closed(sessionId).catch(() => {});
  const { watch: row, order } = released;
  const status = await readStatus(ledger, row);
  out.result({ order, watch: status }, { sessionId, order }, (view) =>
    lines(`${view.sessionId} is no longer watched.`, orderMetText(view.order)),
  );
  return ExitCode.done;
}

async function register(
  plane: ControlPlane,
  sessionId: string,
  limits: LimitChanges,
  options: WatchOptions,
  { out, by }: Asking,
): Promise<number> {
  const { ledger } = plane;
  const reason = options.reason ?? null;
  const change = await ledger.watches.register({ sessionId, limits, reason, requestedBy: by });
  if (change.kind === 'no-limit-left') {
    throw new UserError(
      'A watch needs a limit, and this would leave it none. Nothing was changed.',
      `To end the watch: ${releaseCommand(sessionId)}`,
      ExitCode.usage,
    );
  }
  if (change.kind === 'not-open') throw new Error('A registration needs no open watch.');
  try {
    await plane.watches.wake(sessionId);
  } catch (error) {
    const refusal = startRefusal(error);
    if (refusal !== null) {
      throw new UserError(
        `The watch of ${sessionId} is in the ledger, but Temporal does not start it: ${refusal}. Nothing watches the session yet.`,
        `A worker tries again each minute; \`curfew doctor\` shows what is wrong. To undo it: ${releaseCommand(sessionId)}`,
        ExitCode.unreachable,
      );
    }
    out.say('The watch is in the ledger, but Temporal did not answer. A worker takes it up within a minute or two.');
  }

  const interrupt = onInterrupt();
  const first = await followWatch(ledger, sessionId, out, firstLook(change.watch.revision), interrupt.signal);
  const isWaiting = options.wait === true && !interrupt.signal.aborted;
  if (isWaiting) out.show({ status: first, kind: change.kind, order: change.order }, registeredText);
  const status = isWaiting ? await followWatch(ledger, sessionId, out, isOver, interrupt.signal) : first;
  interrupt.dispose();

  const stopped = interrupt.signal.aborted && options.wait === true && status.state === 'watching';
  if (stopped) {
    out.say('');
    out.say(`Stopped waiting; the watch continues. To end it: ${releaseCommand(sessionId)}`);
  }
  const document = { kind: change.kind, orderMet: change.order, ...status };
  if (options.wait === true) out.result(document, status, endText);
  else out.result(document, { status, kind: change.kind, order: change.order }, registeredText);
  if (stopped) return INTERRUPTED;
  return options.wait === true ? watchExitCode(status) : ExitCode.done;
}

/** Contract: 0 at rest, by itself or by this watch; 3 refused by a rule; otherwise 5. */
function watchExitCode({ ending, order }: Pick<WatchStatus, 'ending' | 'order'>): number {
  const outcome = order?.outcome ?? null;
  if (outcome !== null && REFUSED_OUTCOMES.includes(outcome)) return ExitCode.refused;
  if (ending !== 'at-rest') return ExitCode.someNotEnded;
  return outcome === null || ENDED_OUTCOMES.includes(outcome) || outcome === 'abandoned'
    ? ExitCode.done
    : ExitCode.someNotEnded;
}

/** @throws UserError with exit code 2 that names the option */
function limitsOf(options: WatchOptions): LimitChanges {
  const limits: { [K in WatchLimitName]?: number | null } = {};
  for (const name of WATCH_LIMIT_NAMES) {
    const text = options[name];
    if (text === undefined) continue;
    if (text === NONE) {
      limits[name] = null;
      continue;
    }
    const reading = readLimit(name, text);
    if (!('value' in reading)) {
      throw new UserError(
        `--${optionName(name)} ${reading.problem}. Nothing was registered.`,
        (reading.suggestion ?? EXAMPLE).replace('Remove the line for no limit.', 'Omit the option for no limit.'),
        ExitCode.usage,
      );
    }
    limits[name] = reading.value;
  }
  return limitChanges(limits);
}

type Enough = (status: WatchStatus, revision: number) => boolean;
const isOver: Enough = ({ state }) => state !== 'watching';

/** A look came after the registration; or it takes too long. */
function firstLook(registeredRevision: number): Enough {
  const untilMs = performance.now() + FIRST_LOOK_MS;
  return ({ state }, revision) => state !== 'watching' || revision > registeredRevision || performance.now() > untilMs;
}

/** Follows a watch in the ledger until `enough` says so or the signal fires; says each news once. */
async function followWatch(
  ledger: Ledger,
  sessionId: string,
  out: Output,
  enough: Enough,
  signal: AbortSignal,
): Promise<WatchStatus> {
  let said: string | null = null;
  const look = async () => {
    const row = await ledger.watches.get(sessionId);
    if (row === null) throw new UserError(`The watch of ${sessionId} is not in the ledger any more.`, EXAMPLE);
    return { status: await readStatus(ledger, row), revision: row.revision };
  };
  const onSeen = ({ status, revision }: Awaited<ReturnType<typeof look>>): boolean => {
    if (enough(status, revision) || signal.aborted) return true;
    // Without the time left, which is another one at each look.
    const news = `${status.phase} ${status.turnKey} ${status.order?.outcome} ${status.order?.attempts}`;
    if (said !== null && said !== news)
      out.show(status, (seen) => `${seen.sessionId}  ${seen.phase}: ${seen.lastNote}`);
    said = news;
    return false;
  };
  return (await follow(look, { out, signal, onSeen })).status;
}

const releaseCommand = (sessionId: string): string => shell`curfew watch ${sessionId} --release`;

interface Registered {
  readonly status: WatchStatus;
  readonly kind: 'registered' | 'extended' | 'unchanged';
  readonly order: OrderMet;
}

function registeredText({ status, kind, order }: Registered): string {
  const { sessionId, limits, deadline, phase, lastNote, state } = status;
  const what = { registered: 'is watched', extended: 'has new limits', unchanged: 'is watched already' }[kind];
  const head = `${sessionId} ${what}: ${limitsText(limits)}.`;
  if (state !== 'watching') return lines(head, orderMetText(order), endText(status));
  const left = deadline === null ? null : Date.parse(deadline) - Date.now();
  const when =
    phase === 'registered' || (phase !== 'held' && lastNote.startsWith('Registered'))
      ? 'No worker has looked at it yet; one will as soon as it runs: `curfew up`, or see `curfew doctor`.'
      : deadline === null || left === null
        ? lastNote
        : `Deadline ${deadline}, in ${span(left)}. ${lastNote}`;
  return lines(head, orderMetText(order), when, `To end the watch: ${releaseCommand(sessionId)}`);
}

function endText({ sessionId, ending, order, lastNote }: WatchStatus): string {
  const head =
    ending === null ? `${sessionId} is watched. ${lastNote}` : `The watch of ${sessionId} has ended. ${lastNote}`;
  if (order === null) return lines(head, ending === 'at-rest' ? 'It broke no limit.' : '');
  const why = order.reason.text === null ? '' : ` Why: ${order.reason.text}.`;
  const outcome = order.outcome === null ? 'open' : `${outcomeName(order.outcome)}, ${outcomeWords(order)}`;
  return lines(head, `Its order: ${outcome}.${why}`);
}

const lines = (...texts: string[]): string => texts.filter((text) => text !== '').join('\n');
