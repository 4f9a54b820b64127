import type { TeamProblem, TeamSeen } from '../../adapters/vendor/agents.js';
import type { TeamsCoverage } from '../../adapters/ledger/coverage.js';

export interface TeamsWords {
  /** Which agents are looked at. */
  readonly seen: string;
  /** What of that is missing, a sentence each without its full stop; empty: nothing is. */
  readonly missing: readonly string[];
}

/** What no key shows, whatever teams its user is in. */
export const NEVER_SHOWN = 'never shown to any key: other people’s personal agents, and incognito sessions';

/** Which teams' agents are seen, and which not, in words for people. */
export function teamsWords({ source, problem, watched, unreadable, notShown }: TeamsCoverage): TeamsWords {
  const missing: string[] = [];
  if (problem !== null) missing.push(`the teams can't be listed, so new ones are not seen: ${problem}`);
  // That of the only team is the list of agents, and is told as such.
  const failed = source === 'one-team' ? [] : unreadable.first;
  for (const team of failed) missing.push(`the agents of team ${named(team)} can't be listed: ${team.problem}`);
  const more = unreadable.count - unreadable.first.length;
  if (more > 0) missing.push(`nor can those of ${more} more teams`);
  for (const team of notShown) missing.push(`team ${named(team)} is named, but not shown to this key: ${team.problem}`);
  return { seen: seenWords(source, watched), missing };
}

function seenWords(source: TeamsCoverage['source'], { count, first }: TeamsCoverage['watched']): string {
  const more = count - first.length;
  const list = [...first.map(teamWords), ...(more > 0 ? [`${more} more`] : [])].join(', ');
  const teams = `${count} ${count === 1 ? 'team' : 'teams'}${list === '' ? '' : `: ${list}`}`;
  switch (source) {
    case 'one-team':
      return `agents of one team only, because GUMLOOP_TEAM_ID is set${list === '' ? '' : `: ${list}`}`;
    case 'none-in-api':
      return count === 0
        ? 'own agents; this API has no list of teams, so only teams that are named can be asked for'
        : `own agents and those of ${teams}; this API has no list of teams, so others are not seen`;
    case 'not-in-plan':
      return count === 0 ? 'own agents; the account’s plan has no teams' : `own agents and those of ${teams}`;
    case 'not-asked':
      return `agents of ${teams}`;
    case 'listed':
    case 'failed':
      return count === 0 ? 'own agents, and no team’s' : `own agents and those of ${teams}`;
  }
}

const teamWords = (team: TeamSeen): string =>
  `${named(team)} (${team.agents} ${team.agents === 1 ? 'agent' : 'agents'})`;

/** Policies name teams by id, people by name. */
const named = ({ id, name }: Pick<TeamSeen | TeamProblem, 'id' | 'name'>): string =>
  name === null || name === id ? id : `${name}, ${id}`;
