import { teamsNamed } from '../core/policy/match.js';
import type { PolicyFile } from '../core/policy/policy.js';
import type { TeamsCheck } from './teams-lookup.js';

/**
 * Looks the teams of a file up, where there is a key to ask with. Never fails: a file can be checked anywhere.
 *
 * @returns null when the file names no team, or there is no usable key here
 */
export async function checkTeams({ policies, cleanup }: PolicyFile): Promise<TeamsCheck | null> {
  const matches = [...policies.map(({ match }) => match), ...cleanup.flatMap(({ select }) => select.match ?? [])];
  const named = [...new Set(matches.flatMap(teamsNamed))];
  if (named.length === 0) return null;
  const { lookTeamsUp } = await import('./teams-lookup.js');
  return lookTeamsUp(named);
}
