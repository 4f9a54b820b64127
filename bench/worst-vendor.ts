import type { AgentInput, FaultInput, SessionInput } from '../simulator/index.js';

/*
 * The worst vendor that keeps within the sizes which Curfew takes: full pages of about 8 MiB, names and ids of full length, long
 * transcripts, odd forms, slow answers, and a share of every failure.
 */

const forever = { times: 'forever' } as const;
/** Characters. */
const LONGEST_NAME = 500;
const LONGEST_ID = 200;
/** One item of a page of a hundred that comes to about 7.6 MiB; of many small values, to just under 200,000 of them. */
const ITEM_KILOBYTES = { text: 78, 'wide-text': 78, values: 2.5, depth: 2 } as const;

/** The first character in each name takes two bytes in memory, and so do all others then. */
export const longName = (name: string): string => `${name}-ж`.padEnd(LONGEST_NAME, 'n');
export const longId = (id: string): string => `${id}_`.padEnd(LONGEST_ID, 'i');

export function worstAgent(agent: AgentInput, index: number): AgentInput {
  const kinds = Object.keys(ITEM_KILOBYTES) as (keyof typeof ITEM_KILOBYTES)[];
  const kind = kinds[index % kinds.length] ?? 'text';
  const padded: FaultInput = { fault: 'padded', on: 'list', with: kind, kilobytes: ITEM_KILOBYTES[kind], ...forever };
  return { ...agent, name: longName(agent.name ?? ''), faults: [padded] };
}

const STRANGE_STATE: FaultInput = {
  ...{ fault: 'unknown-state', on: 'list', state: 's'.repeat(100), probability: 0.02 },
  ...forever,
};

/**
 * Every tenth conversation has a past of four thousand messages, and those that break no limit are seen in strange states.
 *
 * Violators must be such by what can be known of them. One that spends has no past: what its earlier turns spent before anyone
 * watched is not known. None is seen in a strange state: it may be a pause, so the time of its turn would begin anew.
 */
export function worstSession<S extends Omit<SessionInput, 'agent'>>(
  session: S,
  index: number,
  breaks: 'runtime' | 'credits' | null,
): S {
  return {
    ...session,
    ...(index % 10 === 0 && breaks !== 'credits' ? { earlierTurns: 2_000 } : {}),
    ...(breaks === null ? { faults: [STRANGE_STATE] } : {}),
    name: longName('session'),
  };
}

/** Those that strike a request are tried in this order; those of form come besides. */
export const WORST_FAULTS: readonly FaultInput[] = [
  { fault: 'lagging-answer', on: 'list', delay: '8s', probability: 0.03, ...forever },
  { fault: 'lagging-answer', on: 'retrieve', delay: '8s', probability: 0.03, ...forever },
  { fault: 'lagging-answer', on: 'cancel', delay: '20s', effectAfter: '10s', probability: 0.1, ...forever },
  { fault: 'failed-to-abort', probability: 0.1, ...forever },
  { fault: 'reset-after-effect', on: 'cancel', probability: 0.05, ...forever },
  { fault: 'hang', on: 'cancel', probability: 0.02, ...forever },
  { fault: 'server-error', probability: 0.02, ...forever },
  { fault: 'rate-limited', probability: 0.003, ...forever },
  { fault: 'truncated-body', probability: 0.01, ...forever },
  { fault: 'html-body', effect: false, probability: 0.01, ...forever },
  { fault: 'reset-before-effect', probability: 0.01, ...forever },
  { fault: 'oversize-body', on: 'retrieve', megabytes: 2, place: 'behind', ...forever },
  { fault: 'oversize-body', on: 'retrieve', megabytes: 48, place: 'behind', probability: 0.03, ...forever },
  { fault: 'null-usage', on: 'list', probability: 0.02, ...forever },
];
