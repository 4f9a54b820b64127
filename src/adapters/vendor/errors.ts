import type { FailureKind } from '../../core/policy/meaning.js';

export type SessionsErrorKind = FailureKind;

export type SessionsOperation =
  'listTeams' | 'listAgents' | 'listSessions' | 'retrieveSession' | 'cancelSession' | 'listQueue' | 'listTriggers';

/** One row of {@link FAILURES}. */
export interface Failure {
  /** HTTP answers of this kind: a range of status codes and, where the status alone does not tell, the vendor's code. */
  readonly answers: readonly { readonly from: number; readonly to: number; readonly code?: RegExp }[];
  /**
   * The same call may succeed later without being changed. False only for what concerns this call or this session alone
   * and stays so. A refused key is retryable: keys get repaired, and no order may be lost to it; look at `accountWide`
   * to retry slowly.
   */
  readonly retryable: boolean;
  /** The server may have carried out a cancel request that ended so. */
  readonly mayHaveActed: boolean;
  /** It concerns every call with this credential, not just this session. */
  readonly accountWide: boolean;
  /** Completes the sentence "<operation> …". */
  readonly says: string;
}

/**
 * Every way in which a call can fail, and what it means. Where rows overlap in status codes the first one that fits
 * counts, so rows with a vendor code stand before those without.
 *
 * Sources: the vendor documents 401, 403, 404 and 500 `failed_to_abort` for cancel; 409 and 429 elsewhere; the account's
 * codes are known from the vendor's SDK. The rest is what HTTP servers and proxies in between answer.
 */
export const FAILURES: Readonly<Record<SessionsErrorKind, Failure>> = {
  unauthorized: {
    answers: [{ from: 401, to: 401 }],
    retryable: true,
    mayHaveActed: false,
    accountWide: true,
    says: 'was refused because the credential is wrong, expired or revoked',
  },
  'account-forbidden': {
    answers: [
      { from: 402, to: 402 },
      { from: 403, to: 403, code: /^(tier_required_\w+|policy_denied|feature_restricted)$/i },
    ],
    retryable: true,
    mayHaveActed: false,
    accountWide: true,
    says: "was refused because the account's plan or policy does not allow it",
  },
  forbidden: {
    answers: [{ from: 403, to: 403 }],
    retryable: false,
    mayHaveActed: false,
    accountWide: false,
    says: 'was refused because this credential has no such right here',
  },
  // Known by its form, not by its status: see `failures.ts`.
  'refused-for-now': {
    answers: [],
    retryable: true,
    mayHaveActed: false,
    accountWide: false,
    says: "was refused for now: the answer names a time to come again, or is not the vendor's own (a proxy or firewall?)",
  },
  'not-found': {
    answers: [
      { from: 404, to: 404 },
      { from: 410, to: 410 },
    ],
    retryable: false,
    mayHaveActed: false,
    accountWide: false,
    says: 'found nothing under this id (deleted, retired, or not visible to this credential)',
  },
  conflict: {
    answers: [{ from: 409, to: 409 }],
    retryable: true,
    mayHaveActed: false,
    accountWide: false,
    says: 'conflicted with something else in progress',
  },
  'rate-limited': {
    answers: [{ from: 429, to: 429 }],
    retryable: true,
    mayHaveActed: false,
    accountWide: true,
    says: 'was rejected because of too many requests',
  },
  'failed-to-abort': {
    answers: [{ from: 500, to: 599, code: /^failed_to_abort$/i }],
    retryable: true,
    mayHaveActed: true,
    accountWide: false,
    says: 'could not be stored by the server, and may have taken effect anyway',
  },
  'server-error': {
    answers: [{ from: 500, to: 599 }],
    retryable: true,
    mayHaveActed: true,
    accountWide: false,
    says: 'failed at the server',
  },
  timeout: {
    answers: [{ from: 408, to: 408 }],
    retryable: true,
    mayHaveActed: true,
    accountWide: false,
    says: 'was sent, and not answered in time',
  },
  'connection-failed': {
    answers: [],
    retryable: true,
    mayHaveActed: false,
    accountWide: false,
    says: 'was not sent, because there was no connection',
  },
  'connection-lost': {
    answers: [],
    retryable: true,
    mayHaveActed: true,
    accountWide: false,
    says: 'was sent, and the connection was lost before the answer',
  },
  unreadable: {
    answers: [],
    retryable: true,
    mayHaveActed: true,
    accountWide: false,
    says: 'got an answer that cannot be read',
  },
  redirected: {
    answers: [{ from: 300, to: 399 }],
    // A redirect tells of the route, not of the session; maintenance pages come and go.
    retryable: true,
    mayHaveActed: false,
    accountWide: false,
    says: 'was sent elsewhere by the server, and not followed because the key would go along; check GUMLOOP_BASE_URL',
  },
  'bad-request': {
    answers: [{ from: 400, to: 499 }],
    retryable: false,
    mayHaveActed: false,
    accountWide: false,
    says: 'is not a request that can be answered',
  },
  'no-credential': {
    answers: [],
    retryable: true,
    mayHaveActed: false,
    accountWide: true,
    says: 'was not sent, because there is no usable credential',
  },
  aborted: {
    answers: [],
    retryable: true,
    mayHaveActed: false,
    accountWide: false,
    says: 'was given up by the caller',
  },
};

export interface SessionsErrorDetails {
  readonly operation: SessionsOperation;
  /** Session or agent that the call was about. */
  readonly subject?: string | null;
  readonly status?: number | null;
  readonly code?: string | null;
  readonly retryAfterMs?: number | null;
  /** The request may have left. Default: as the kind implies, and false for `aborted`. */
  readonly sent?: boolean;
  /** Short text for people, free of secrets. */
  readonly detail?: string | null;
}

/**
 * The only error of the sessions client. Its flags follow from the kind by {@link FAILURES}. It carries neither the
 * request nor the error of the HTTP library, because those hold the key.
 */
export class SessionsError extends Error {
  override readonly name = 'SessionsError';
  readonly operation: SessionsOperation;
  /** Session or agent that the call was about. */
  readonly subject: string | null;
  /** HTTP status, where one was received. */
  readonly status: number | null;
  /** The vendor's error code, where one was received. */
  readonly code: string | null;
  readonly retryable: boolean;
  /** Wait asked for by the server, 0 to 3,600,000 ms. */
  readonly retryAfterMs: number | null;
  /** The request may have left this machine. False means that it certainly did not. */
  readonly sent: boolean;
  /** Only for cancel: the server may have acted. Read before deciding anything. */
  readonly outcomeUnknown: boolean;
  readonly accountWide: boolean;

  constructor(
    readonly kind: SessionsErrorKind,
    details: SessionsErrorDetails,
  ) {
    super(sentence(kind, details));
    const failure = FAILURES[kind];
    this.operation = details.operation;
    this.subject = details.subject ?? null;
    this.status = details.status ?? null;
    this.code = details.code ?? null;
    this.retryable = failure.retryable;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.sent = details.sent ?? (this.status !== null || failure.mayHaveActed);
    const givenUpLate = kind === 'aborted' && this.sent;
    this.outcomeUnknown = details.operation === 'cancelSession' && (failure.mayHaveActed || givenUpLate);
    this.accountWide = failure.accountWide;
  }
}

function sentence(kind: SessionsErrorKind, { operation, subject, status, code, detail }: SessionsErrorDetails): string {
  const facts = [status == null ? null : `HTTP ${status}`, code].filter((fact) => fact != null).join(' ');
  return [
    // The facts first: that is what an operator looks for, and what is left where a line is cut.
    operation,
    subject == null ? '' : ` of ${subject}`,
    facts === '' ? '' : ` got ${facts}:`,
    facts === '' ? ` ${FAILURES[kind].says}` : ` it ${FAILURES[kind].says}`,
    detail == null || detail === '' ? '' : ` (${detail})`,
  ].join('');
}
