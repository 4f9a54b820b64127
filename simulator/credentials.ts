import type { IncomingHttpHeaders } from 'node:http';

/** What the simulator accepts. Nothing here is secret: it guards only invented sessions. */
export interface Credentials {
  /** Personal keys; each needs the user id in `x-auth-key`. Others count from one moment to the next when keys are rotated. */
  apiKeys: readonly string[];
  readonly userId: string;
  /** OAuth token; identifies its user, so it needs no further header. */
  readonly accessToken: string | undefined;
  /** Team key; needs the id of a member in `x-auth-key` and `team_id` in every query. */
  readonly team: { readonly apiKey: string; readonly teamId: string } | undefined;
}

export function isAuthorized(accepted: Credentials, headers: IncomingHttpHeaders, teamId: unknown): boolean {
  const bearer = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer === undefined) return false;
  if (bearer === accepted.accessToken) return true;
  if (headers['x-auth-key'] !== accepted.userId) return false;
  return accepted.apiKeys.includes(bearer) || (bearer === accepted.team?.apiKey && teamId === accepted.team.teamId);
}
