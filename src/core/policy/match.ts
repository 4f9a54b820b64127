import { VENDOR_BOUNDS } from '../bounds.js';
import { comparable, comparableInAnyCase, globMatches, sameText } from './glob.js';
import type { Match } from './policy.js';

/** What a rule may ask about a session. Null: not known, which is neither "none" nor "another one". */
export interface MatchSubject {
  readonly agentId: string | null;
  readonly agentName: string | null;
  readonly creatorId: string | null;
  readonly creatorEmail: string | null;
  /** Team of the agent. */
  readonly teamId: string | null;
}

/**
 * Whether a policy is about a session. Only a certain yes is one: what is unknown never brings a session under a policy,
 * also not by way of `not`.
 */
export const matches = (match: Match, subject: MatchSubject): boolean => matchVerdict(match, subject) === true;

/**
 * The same with three values, after Kleene: `not` of the unknown is unknown, `all` is false as soon as one part is false,
 * `any` is true as soon as one part is true.
 *
 * @returns null when the answer depends on a field that is not known
 */
export function matchVerdict(match: Match, subject: MatchSubject): boolean | null {
  if ('all' in match) return everyOne(match.all.map((part) => matchVerdict(part, subject)));
  if ('any' in match) return negated(everyOne(match.any.map((part) => negated(matchVerdict(part, subject)))));
  if ('not' in match) return negated(matchVerdict(match.not, subject));
  if ('agents' in match) return someField(match.agents, [subject.agentId, subject.agentName], nameMatches);
  if ('creators' in match) {
    const byId = someField(match.creators, [subject.creatorId], globMatches);
    const byEmail = someField(match.creators, [subject.creatorEmail], emailMatches);
    return negated(everyOne([negated(byId), negated(byEmail)]));
  }
  return someField(match.teams, [subject.teamId], sameText);
}

/** Whether no session of an agent can fit, whoever created it: then it need not be listed. Null: not known. */
export const excludes = (
  match: Match,
  { id, name, teamId }: { readonly id: string | null; readonly name: string | null; readonly teamId: string | null },
): boolean =>
  matchVerdict(match, { agentId: id, agentName: name, teamId, creatorId: null, creatorEmail: null }) === false;

/** Ids of all teams that a rule names, those behind a `not` included. */
export function teamsNamed(match: Match): readonly string[] {
  if ('all' in match) return match.all.flatMap(teamsNamed);
  if ('any' in match) return match.any.flatMap(teamsNamed);
  if ('not' in match) return teamsNamed(match.not);
  return 'teams' in match ? match.teams : [];
}

/** Mail systems take no notice of case, and the vendor stores an address as it was typed once. */
const emailMatches = (pattern: string, email: string): boolean =>
  globMatches(comparableInAnyCase(pattern), comparableInAnyCase(email));

/**
 * Of a name that was shortened where it came in, only the beginning is known: a pattern fits it for certain when it fits whatever
 * follows, and for certain not when it fails before.
 *
 * @returns null when that depends on the rest
 */
function nameMatches(pattern: string, name: string): boolean | null {
  const beginning = beginningOfShortened(name);
  if (beginning === null) return globMatches(pattern, name);
  if ([...comparable(pattern)].length >= [...beginning].length) return null;
  const star = pattern.indexOf('*');
  // A pattern without a star is as long as what it fits.
  if (star < 0 || !globMatches(pattern.slice(0, star + 1), beginning)) return false;
  return pattern.endsWith('*') && globMatches(pattern, beginning) ? true : null;
}

/** What `shortened` puts in the place of the rest. */
const SHORTENED = '…';

/** Without the last character, which may be one with what follows. Null: the name is there as a whole. */
function beginningOfShortened(name: string): string | null {
  const { most } = VENDOR_BOUNDS.name;
  if (name.length < most || !name.endsWith(SHORTENED) || [...name].length !== most) return null;
  return [...comparable(name.slice(0, -SHORTENED.length))].slice(0, -1).join('');
}

/** True when a known field fits; an unknown field could fit too, so without it nothing is certain. */
function someField(
  patterns: readonly string[],
  fields: readonly (string | null)[],
  fits: (pattern: string, text: string) => boolean | null,
): boolean | null {
  let certain = true;
  for (const field of fields) {
    if (field === null) certain = false;
    else {
      for (const pattern of patterns) {
        const verdict = fits(pattern, field);
        if (verdict === true) return true;
        if (verdict === null) certain = false;
      }
    }
  }
  return certain ? false : null;
}

const negated = (verdict: boolean | null): boolean | null => (verdict === null ? null : !verdict);

function everyOne(verdicts: readonly (boolean | null)[]): boolean | null {
  if (verdicts.includes(false)) return false;
  return verdicts.includes(null) ? null : true;
}
