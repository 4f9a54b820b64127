import { shortened } from '../core/text/printable.js';
import pc from 'picocolors';
import type { OrderResult, Outcome } from '../core/contract.js';
import type { OrderView } from '../adapters/ledger/results.js';
import { span } from './output.js';
import { shell } from '../core/text/shell.js';
import { iso } from '../core/times.js';

/** What an outcome means, for the person who ordered and for the one whose session it was. */
export const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  cancelled: 'ended by our request',
  'already-ended': 'had ended already, not by this order',
  'ended-unattributed': 'ended; unknown whether by our request',
  superseded: 'over; a newer turn runs and was left alone',
  'no-longer-violating': 'no longer breaks the rule; left alone',
  exempted: 'exempt; left alone',
  capped: "over the policy's cap; left alone",
  'not-in-flight': 'not seen in flight (idle, waiting for a person, unknown state or turn); left alone',
  gone: 'no longer found (404 twice)',
  forbidden: 'STILL RUNNING as far as is known; the vendor refuses to let this key end it: give the key update access',
  'retries-exhausted': 'STILL RUNNING as far as is known; gave up after CURFEW_GIVE_UP_AFTER',
  abandoned: 'abandoned by an operator',
};

const COLOURS: Partial<Record<Outcome, (text: string) => string>> = {
  cancelled: pc.green,
  'already-ended': pc.green,
  'ended-unattributed': pc.green,
  superseded: pc.green,
  'no-longer-violating': pc.green,
};

export function outcomeWords(result: OrderResult): string {
  if (result.outcome === null) return 'open';
  const probable = result.attribution === 'probable' ? ' (probably)' : '';
  return `${OUTCOME_WORDS[result.outcome]}${probable}`;
}

export const outcomeName = (outcome: Outcome): string => (COLOURS[outcome] ?? pc.yellow)(outcome);

/** By how old a read an order goes, where a person has said so; null: as every order. */
export const readAgeWords = ({ maxReadAgeMs }: OrderResult): string | null =>
  maxReadAgeMs === undefined ? null : `uses reads up to ${span(maxReadAgeMs)} old`;

/** Where an open order stands, in one line. */
export function standing(view: OrderView, nowMs: number): string {
  const { result, phase, nextTryAtMs } = view;
  if (result.outcome !== null) return `${outcomeName(result.outcome)}: ${outcomeWords(result)}`;
  const next = nextTryAtMs === null ? 'now' : nextTryAtMs <= nowMs ? 'any moment' : `in ${span(nextTryAtMs - nowMs)}`;
  const sent = result.attempts === 1 ? '1 request sent' : `${result.attempts} requests sent`;
  const why = result.lastError === null ? '' : `; last error: ${shorten(result.lastError.message, 120)}`;
  switch (phase) {
    case 'ordered':
      return 'ordered; no worker has looked at it yet';
    case 'held':
      return `held (${sent}), next try ${next}${why}`;
    case 'confirming':
      return `confirming (${sent}), next look ${next}`;
    default:
      return nextTryAtMs === null ? `trying now (${sent})${why}` : `attempting (${sent}), next try ${next}${why}`;
  }
}

export const shorten = shortened;

/** Reads that confirm are spaced, because two that follow at once would prove nothing: those can't be hurried. */
export function retriedWords(view: Pick<OrderView, 'phase' | 'nextTryAtMs'> & { readonly sessionId: string }): string {
  const follow = `Follow it: ${shell`curfew cases ${view.sessionId}`}`;
  if (view.phase !== 'confirming') return `Trying now: ${view.sessionId}. ${follow}`;
  const next = view.nextTryAtMs === null ? 'soon' : `at ${iso(view.nextTryAtMs).slice(11, 19)}Z`;
  return `A request was sent for ${view.sessionId}, and its end is being confirmed: the next read comes ${next} by itself, and the next request after it, if the turn still runs. ${follow}`;
}

/** "1 agent", "12,000 agents", "2 policies". @param many - where an s is not enough */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${value.toLocaleString('en-US')} ${value === 1 ? one : many}`;
