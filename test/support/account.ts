import { readFileSync } from 'node:fs';

/** A user that a process can become. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** What the kernel takes for nobody, whether or not a user has that number. */
const NOBODY: Account = { uid: 65_534, gid: 65_534 };

/**
 * Whom a program runs as that refuses to be root: `postgres`, `nobody`, or else the first user who is not root. Users with a
 * name come first, since initdb wants one.
 *
 * @param users - in the form of /etc/passwd
 */
export function unprivilegedOf(users: string): Account {
  const accounts = users
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid, gid }) => uid > 0 && Number.isInteger(gid));
  const named = (wanted: string) => accounts.find(({ name }) => name === wanted);
  const { uid, gid } = named('postgres') ?? named('nobody') ?? accounts[0] ?? NOBODY;
  return { uid, gid };
}

/** @returns undefined when we are not root */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  let users = '';
  try {
    users = readFileSync('/etc/passwd', 'utf8');
  } catch {
    // A system without.
  }
  return unprivilegedOf(users);
}
