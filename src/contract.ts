/**
 * Names and JSON shapes that others rely on: the command line's output, the workflow's result and the names by which
 * a case is found in Temporal. Nothing here has behaviour, so workflows, activities, tests and commands may all import it.
 */

export const TASK_QUEUE = 'curfew';

/** One case per session: further orders join it. */
export const caseWorkflowId = (sessionId: string): string => `cancel/${sessionId}`;
export const SESSION_CANCELLATION = 'sessionCancellation';

/** Update: an order joins the case. Answers at once; the order itself is in the ledger. */
export const JOIN_UPDATE = 'join';
/** Update: do not wait for the next try, look now. */
export const RETRY_NOW_UPDATE = 'retryNow';
/** Query: where the case stands. */
export const CASE_QUERY = 'case';

/** Search attributes of a case. All are keywords, so that the `temporal` CLI and UI can filter by them. */
export const SEARCH_ATTRIBUTES = {
  CurfewSessionId: 'Keyword',
  CurfewAgentId: 'Keyword',
  CurfewPhase: 'Keyword',
  CurfewOutcome: 'Keyword',
} as const;

/** What became of one order. What each means, and when it is given: docs/outcomes.md. */
export const OUTCOMES = [
  'cancelled',
  'already-ended',
  'ended-unattributed',
  'superseded',
  'no-longer-violating',
  'exempted',
  'capped',
  'not-in-flight',
  'gone',
  'forbidden',
  'retries-exhausted',
  'abandoned',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Outcomes after which no ordered turn runs any more: `curfew cancel` exits 0. */
export const ENDED_OUTCOMES: readonly Outcome[] = [
  'cancelled',
  'already-ended',
  'ended-unattributed',
  'superseded',
  'no-longer-violating',
];
/** Outcomes by which a safety rule refused the order: `curfew cancel` exits 3. */
export const REFUSED_OUTCOMES: readonly Outcome[] = ['exempted', 'capped'];

/** How sure it is that our request ended the turn. Null where it did not, or nothing can be said. */
export type Attribution = 'strong' | 'probable';

/** Where a case stands. */
export type CasePhase = 'ordered' | 'attempting' | 'held' | 'confirming' | 'watching-for-restart' | 'settled';

export interface OrderReason {
  readonly text: string | null;
  readonly policy: string | null;
  readonly policyVersion: number | null;
  readonly limit: Readonly<Record<string, unknown>> | null;
  readonly observed: Readonly<Record<string, unknown>> | null;
}

export interface OrderError {
  readonly type: string;
  readonly message: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}

export interface OrderEvent {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly kind: string;
  readonly [detail: string]: unknown;
}

/** One order's result: the same shape in `--json`, in the workflow's result and in exports. Times are ISO 8601, UTC. */
export interface OrderResult {
  readonly sessionId: string;
  readonly agentId: string | null;
  /** Id of the user message that started the ordered turn; null until a read has shown it. */
  readonly turnKey: string | null;
  /** Null while the order is open. */
  readonly outcome: Outcome | null;
  readonly attribution: Attribution | null;
  readonly reason: OrderReason;
  /** Claimed by who ordered, not authenticated. */
  readonly requestedBy: string;
  /** Cancel requests sent for the ordered turn, those of unknown effect included. */
  readonly attempts: number;
  readonly orderedAt: string;
  /** When the turn was first seen to be over; null when it was not seen so. */
  readonly endedAt: string | null;
  readonly lastError: OrderError | null;
  readonly events: readonly OrderEvent[];
}

/** Result of the workflow `sessionCancellation`. */
export interface CaseResult {
  readonly orders: readonly OrderResult[];
}

/** Answer to {@link CASE_QUERY}. */
export interface CaseStatus {
  readonly sessionId: string;
  readonly phase: CasePhase;
  /** Orders that joined this run, by id in the ledger; at most the last 50. */
  readonly orderIds: readonly string[];
  /** What the last finished step said, for people. */
  readonly note: string;
}
