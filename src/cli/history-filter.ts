import { DateTime } from 'luxon';
import type { Outcome } from '../core/contract.js';
import { ExitCode, UserError } from '../core/errors.js';
import type { EventKind } from '../core/events.js';
import { isLiteral } from '../core/policy/glob.js';
import { closest } from '../core/policy-file/suggest.js';
import type { HistoryFilter } from '../adapters/ledger/history.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { findJob } from './bulk-argument.js';
import { checkedSessionId } from './context.js';
import { readMoment } from './option-values.js';

/** What people ask for with `curfew history`. */
export interface AskedFor {
  readonly session?: string;
  readonly since?: string;
  readonly until?: string;
  readonly policy?: string;
  readonly job?: string;
  readonly by?: string;
  readonly agent?: string;
  readonly outcome?: readonly (Outcome | 'open')[];
  readonly event?: readonly EventKind[];
  readonly limit?: number;
}

/** @throws UserError with exit code 2: times in the wrong order, or a policy or job that the ledger does not know */
export async function filterOf(asked: AskedFor, ledger: Ledger): Promise<HistoryFilter> {
  const { session, policy, job, by, agent, outcome, event, limit } = asked;
  if (policy !== undefined) await refuseUnknownPolicy(ledger, policy);
  return {
    ...timesOf(asked, await ledger.now()),
    ...(session === undefined ? {} : { sessionId: checkedSessionId(session) }),
    ...(policy === undefined ? {} : { policy }),
    ...(job === undefined ? {} : { planId: (await findJob(ledger, job)).planId }),
    ...(by === undefined ? {} : { by }),
    ...(agent === undefined ? {} : { agentIds: await agentsNamed(ledger, agent) }),
    ...(outcome === undefined ? {} : { outcomes: outcome }),
    ...(event === undefined ? {} : { kinds: event }),
    ...(limit === undefined ? {} : { last: limit }),
  };
}

function timesOf({ since, until }: AskedFor, nowMs: number): Pick<HistoryFilter, 'sinceMs' | 'untilMs'> {
  const sinceMs = since === undefined ? undefined : pastMoment(since, '--since', nowMs);
  const untilMs = until === undefined ? undefined : pastMoment(until, '--until', nowMs);
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
    throw new UserError('--until is not after --since, so nothing is in between.', 'Swap the two.', ExitCode.usage);
  }
  return { ...(sinceMs === undefined ? {} : { sinceMs }), ...(untilMs === undefined ? {} : { untilMs }) };
}

const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

/** As {@link readMoment}; also midnight UTC of today, of yesterday, or of the last day of this name before today. */
export function pastMoment(text: string, option: string, nowMs: number): number {
  const today = DateTime.fromMillis(nowMs, { zone: 'utc' }).startOf('day');
  const name = text.trim().toLowerCase();
  if (name === 'today') return today.toMillis();
  if (name === 'yesterday') return today.minus({ days: 1 }).toMillis();
  const weekday = WEEKDAYS.indexOf(name) + 1;
  if (weekday === 0) return readMoment(text, option, nowMs);
  return today.minus({ days: (today.weekday - weekday + 7) % 7 || 7 }).toMillis();
}

/** Orders have the id of their agent only; its name is known from the last scans. */
async function agentsNamed({ facts }: Pick<Ledger, 'facts'>, pattern: string): Promise<string[]> {
  const named = await facts.agentsNamed(pattern);
  return isLiteral(pattern) ? [...new Set([...named, pattern])] : named;
}

/** "No orders" of a policy that never was would be taken for true. */
async function refuseUnknownPolicy(
  { policies, history }: Pick<Ledger, 'policies' | 'history'>,
  policy: string,
): Promise<void> {
  const names = [...(await policies.modesSoFar()).keys()];
  if (names.includes(policy) || (await history.knowsPolicy(policy))) return;
  const meant = closest(policy, names);
  const known = names.length === 0 ? 'No policy file has been put in force yet.' : `There are: ${names.join(', ')}.`;
  throw new UserError(
    `No policy ${JSON.stringify(policy.slice(0, 80))} has ever been in force, and nothing in the ledger names it.`,
    meant === null ? known : `Did you mean ${meant}? ${known}`,
    ExitCode.usage,
  );
}
