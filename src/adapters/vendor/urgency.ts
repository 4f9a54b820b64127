/**
 * What a request to the vendor is for, the most urgent first:
 *
 * - `cancel`: a cancel request
 * - `look`: a read because a deadline has come, or that a cancel request may follow
 * - `confirm`: a read afterwards (confirming, restarts, triggers) or beside it all, which tells the same some seconds later
 * - `list`: teams, agents, sessions
 */
export type Urgency = 'cancel' | 'look' | 'confirm' | 'list';

const RANK: Readonly<Record<Urgency, number>> = { cancel: 0, look: 1, confirm: 2, list: 3 };

/** Less than 0: `a` is more urgent. */
export const compareUrgency = (a: Urgency, b: Urgency): number => RANK[a] - RANK[b];

/** It ends a turn, or may lead to that. */
export const isUrgent = (urgency: Urgency): boolean => urgency === 'cancel' || urgency === 'look';

const LOOK_SLACK_MS = 1_000;
const CONFIRM_SLACK_MS = 5_000;
/** Shorter than the time between two scans, as it is by default. */
export const LIST_SLACK_MS = 10_000;

/** How much later than it came a request has to leave at the latest, ms. @param listMs - that of lists; what is more urgent has no more */
export const slackFor = (listMs: number): Readonly<Record<Urgency, number>> => ({
  cancel: 0,
  look: Math.min(LOOK_SLACK_MS, listMs),
  confirm: Math.min(CONFIRM_SLACK_MS, listMs),
  list: listMs,
});
