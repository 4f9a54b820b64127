/** Sessions of the bulk vendor are numbered from 0, and so are its agents. */
export const sessionIdOf = (index: number): string => `sess_${index}`;
export const agentIdOf = (index: number): string => `agent_${index}`;

/** @returns the index in an id of either kind; -1 when it is none */
export function indexOf(id: string): number {
  const digits = /^(?:sess|agent)_(0|[1-9]\d{0,8})$/.exec(id)?.[1];
  return digits === undefined ? -1 : Number(digits);
}
