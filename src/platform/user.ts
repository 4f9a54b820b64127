import { userInfo } from 'node:os';

/** Whom the system knows us as; null for a user who is a mere number, as in some containers. */
export function systemUser(): { readonly name: string; readonly home: string } | null {
  try {
    // Not `homedir()`, which takes an empty or relative HOME as it is.
    const { username, homedir } = userInfo();
    return { name: username, home: homedir };
  } catch {
    return null;
  }
}

/** The user's name, or else its number. */
export const userName = (): string => systemUser()?.name ?? `uid-${process.getuid?.() ?? 'unknown'}`;
