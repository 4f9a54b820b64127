import { ExitCode, UserError } from '../../core/errors.js';

/**
 * Why the ledger can't be used right now:
 * - `busy`: others held a lock, or all connections, for too long; or a deadlock was broken
 * - `unreachable`: no connection, or the connection was lost; PostgreSQL stops, restarts or does not answer
 * - `tls`: there is no safe connection: certificates or the server's offer are not what the settings ask for
 * - `refused`: PostgreSQL does not let us in (password, missing database, missing privilege)
 * - `full`: no space left
 * - `read-only`: the file or the server takes no writes, as a standby after a failover
 * - `failing`: the disk or the operating system reports errors
 */
export type UnavailableReason = 'busy' | 'unreachable' | 'tls' | 'refused' | 'full' | 'read-only' | 'failing';

const WHAT_HAPPENED: Record<UnavailableReason, string> = {
  busy: 'is busy',
  unreachable: 'is not reachable',
  tls: 'can not be reached over TLS',
  refused: 'refuses us',
  full: 'has no space left',
  'read-only': 'takes no writes',
  failing: 'reports a failure of its storage',
};

const WHAT_TO_DO: Record<UnavailableReason, string> = {
  busy: 'Try again; if it stays so, look for another process that keeps a transaction on the ledger open.',
  unreachable: 'Check that the database runs and that CURFEW_DATABASE_URL names it, then try again.',
  tls: 'Check sslmode and sslrootcert in CURFEW_DATABASE_URL, then try again.',
  refused: 'Check user, password, database and privileges in CURFEW_DATABASE_URL, then try again.',
  full: 'Free space on the disk of the ledger, then try again.',
  'read-only':
    'Check the permissions of the ledger and its folder, or that CURFEW_DATABASE_URL names the primary server.',
  failing: 'Check the disk of the ledger and the log of the system, then try again.',
};

/**
 * The ledger can't be used right now, and a later try may succeed. Thrown by any query, and by begin and commit.
 *
 * The transaction is not in force, with one exception: when the connection is lost while PostgreSQL answers a COMMIT, it
 * may be. So what is tried again has to tolerate that it was done already (ids made before the first try).
 *
 * Carries no `cause`: the drivers' errors hold the connection, and with it the password.
 */
export class LedgerUnavailableError extends Error {
  override readonly name = 'LedgerUnavailableError';

  /**
   * @param describe - the ledger's path or host, port and database; never a password
   * @param detail - what the database said, without secrets
   * @param code - SQLite's, PostgreSQL's or the operating system's code for it
   * @param next - what to do about it, where that is known better than from the reason
   */
  constructor(
    readonly reason: UnavailableReason,
    describe: string,
    detail: string,
    readonly code?: string,
    readonly next?: string,
  ) {
    super(
      `The ledger at ${describe} ${WHAT_HAPPENED[reason]}: ${detail}. What it holds is safe; trying again is, too.`,
    );
  }
}

export function isLedgerUnavailable(error: unknown): error is LedgerUnavailableError {
  return error instanceof LedgerUnavailableError;
}

/** Unreachable by a file or a socket that we may not open: whoever waits, it stays so until a person changes it. */
const HOPELESS_CODE = /^(EACCES|SQLITE_CANTOPEN)$/;

/** Whether the ledger may be there in a while though nobody changes a setting: its server starts, or has too many clients. */
export function mayComeUp({ reason, code = '' }: LedgerUnavailableError): boolean {
  return (reason === 'unreachable' || reason === 'busy') && !HOPELESS_CODE.test(code);
}

/** For a command that a person waits for: the same message, with what to do next and exit code 4. */
export function unavailableAsUserError(error: LedgerUnavailableError): UserError {
  return new UserError(error.message, error.next ?? WHAT_TO_DO[error.reason], ExitCode.unreachable);
}

/** The code that a driver or the operating system put on an error; undefined when there is none. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && error.code !== '' ? error.code : undefined;
}

/** What an error says; its code when it says nothing, as when several addresses of a host were tried in vain. */
export function messageOf(error: unknown): string {
  const message =
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
  return message === '' ? (codeOf(error) ?? 'unknown error') : message;
}

/** A statement of the transaction failed, the caller went on, and so nothing of it could be committed. */
export class TransactionAbortedError extends Error {
  override readonly name = 'TransactionAbortedError';

  constructor() {
    super('The transaction was rolled back, because one of its statements failed. Nothing of it was written.');
  }
}
