/**
 * Names and JSON shapes that others rely on: the command line's output, the workflow's result and the names by which
 * a case is found in Temporal. Nothing here has behaviour, so workflows, activities, tests and commands may all import it.
 */

export const TASK_QUEUE = 'curfew';

/** One case per session: further orders join it. */
export const caseWorkflowId = (sessionId: string): string => `cancel/${sessionId}`;
export const SESSION_CANCELLATION = 'sessionCancellation';

export interface CaseInput {
  readonly sessionId: string;
  /** False where the server does not know Curfew's search attributes, and does not let us add them. */
  readonly searchAttributes: boolean;
  /** ISO 8601; when the case began. Carried over when the case continues as new. */
  readonly since?: string;
}

/** Update: an order joins the case. Answers at once; the order itself is in the ledger. */
export const JOIN_UPDATE = 'join';
/** Update: do not wait for the next try, look now. */
export const RETRY_NOW_UPDATE = 'retryNow';
/** Query: where the case stands. */
export const CASE_QUERY = 'case';

/** Where one worker alone takes the rounds over the fleet that continue its own. */
export const fleetTaskQueue = (worker: string): string => `${TASK_QUEUE}/fleet/${worker}`;

/** One for the whole fleet. */
export const ENFORCEMENT_WORKFLOW_ID = 'policy-enforcement';
export const POLICY_ENFORCEMENT = 'policyEnforcement';

export interface EnforcementInput {
  /** Of the worker that did the last round; see `Round` in `src/engines/fleet/enforcement.ts`. */
  readonly memory: string | null;
  /** That worker's own task queue; null or left out: any worker may do the next round. */
  readonly taskQueue?: string | null;
}

/** One watch per session: registering again changes its limits. */
export const watchWorkflowId = (sessionId: string): string => `watch/${sessionId}`;
export const SESSION_WATCH = 'sessionWatch';

/** To go on with a watch that is in the ledger already. */
export interface ResumedWatch {
  readonly sessionId: string;
  readonly resume: true;
}

/** Update: other limits for an open watch. Those that are not named stay; null takes one away. */
export const EXTEND_UPDATE = 'extend';
/** Update: the session may go on; the watch ends. */
export const RELEASE_UPDATE = 'release';
/** Signal: the ledger holds news of this watch, so look now. For Curfew's own commands. */
export const LOOK_SIGNAL = 'look';
/** Query: where the watch stands. */
export const WATCH_QUERY = 'watch';

/** One workflow per notification route, while there is something to tell. */
export const notificationWorkflowId = (route: string): string => `notify/${route}`;
export const NOTIFICATION = 'notification';

export interface NotificationInput {
  /** Name of the route in the policy file. */
  readonly route: string;
}

/** One workflow per bulk job: the same plan applied again is the same job. */
export const bulkWorkflowId = (planId: string): string => `bulk/${planId}`;
export const BULK_CANCELLATION = 'bulkCancellation';
/** Targets of a bulk job that may be on their way through the gate at once: a request may take the vendor 90 s. */
export const BULK_CONCURRENCY = 128;
/** Updates of a running bulk job, for other programs; each answers with a {@link BulkStatus}. */
export const BULK_PAUSE_UPDATE = 'pause';
export const BULK_RESUME_UPDATE = 'resume';
export const BULK_ABORT_UPDATE = 'abort';
/** Update with the argument `{ rate: 20 }`: sessions a second. */
export const BULK_RATE_UPDATE = 'rate';

/** One Schedule per `cleanup` entry of the policy file. */
export const cleanupScheduleId = (name: string): string => `cleanup/${name}`;

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
  /** What the vendor refused for this session and has not accepted since; left out: nothing. */
  readonly refused?: readonly OrderRefusal[];
}

/** The same refusal, met so many times. */
export interface OrderRefusal {
  readonly on: 'read' | 'cancel';
  /** HTTP status. */
  readonly status: number;
  /** The vendor's code; `refused-for-now`: the answer was not its own, or named a time to come again; null: it gave none. */
  readonly code: string | null;
  readonly times: number;
  /** ISO 8601, UTC. */
  readonly since: string;
  /** ISO 8601, UTC. */
  readonly last: string;
  /** It settled the order, and no cancel request for another session was accepted meanwhile: perhaps all were refused. */
  readonly alone?: true;
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
  /** How old a read may be that lets a request for this order out, ms; left out: at most 2 s, as for any order. */
  readonly maxReadAgeMs?: number;
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

/** What a watched session may use, as it is written: durations with units ("20m", "1h30m"), amounts as 500, "500k" or "2M". */
export interface WatchLimits {
  /** One turn processing. */
  readonly maxRuntime?: string;
  /** Unbroken processing, whatever was said meanwhile. */
  readonly maxContinuousRuntime?: string;
  /** One turn waiting. */
  readonly maxQueueTime?: string;
  /** One turn. */
  readonly maxCredits?: number | string;
  /** Life of the session. */
  readonly maxSessionCredits?: number | string;
  /** One turn, input and output together. */
  readonly maxTokens?: number | string;
}

/** Argument of the workflow `sessionWatch`. */
export interface WatchInput {
  readonly sessionId: string;
  /** At least one. */
  readonly limits: WatchLimits;
  /** Why it is watched; shown to whoever asks what ended the session. */
  readonly reason?: string;
  /** Claimed, not authenticated. */
  readonly requestedBy?: string;
}

/** Argument of {@link EXTEND_UPDATE}. */
export interface WatchExtension {
  readonly limits: { readonly [K in keyof WatchLimits]?: WatchLimits[K] | null };
  readonly reason?: string;
  readonly requestedBy?: string;
}

/** Argument of {@link RELEASE_UPDATE}. */
export interface WatchRelease {
  readonly reason?: string;
  readonly requestedBy?: string;
}

/**
 * What a release or an extension met: no order, one that was given up before anything was sent for it, or one whose cancel
 * request had left already. That one is carried out.
 */
export type OrderMet = 'none' | 'given-up' | 'already-sent';

/** Answer to {@link EXTEND_UPDATE} and {@link RELEASE_UPDATE}. */
export interface WatchAnswer {
  readonly order: OrderMet;
  readonly watch: WatchStatus;
}

/**
 * Where a watch stands. `held`: the session or the ledger can't be read now, nothing is ended. `ending`: a limit is broken, and
 * the case is at work. `resting`, `missing`: seen so once, and looked at again before the watch ends.
 */
export type WatchPhase =
  'registered' | 'watching' | 'exempt' | 'held' | 'ending' | 'resting' | 'missing' | 'ended' | 'released';

/** Answer to {@link WATCH_QUERY}, result of the workflow `sessionWatch`, and what `curfew watch --json` prints. */
export interface WatchStatus {
  readonly sessionId: string;
  readonly state: 'watching' | 'ended' | 'released';
  /** How the watch ended; null while it is open. */
  readonly ending: 'at-rest' | 'gone' | 'released' | null;
  readonly limits: WatchLimits;
  readonly phase: WatchPhase;
  /** When the first time limit of the turn is reached, by the vendor's clock, ISO 8601; null: not known, or no time limit. */
  readonly deadline: string | null;
  /** ISO 8601; null when the watch is closed. */
  readonly nextLookAt: string | null;
  /** Id of the user message that started the current turn; null: not known, or at rest. */
  readonly turnKey: string | null;
  /** What the last look said, for people. */
  readonly lastNote: string;
  /** The last order that this watch gave; null: none. */
  readonly order: OrderResult | null;
  readonly reason: string | null;
  readonly requestedBy: string;
  readonly registeredAt: string;
  readonly closedAt: string | null;
  readonly closedBy: string | null;
}

/**
 * Where a bulk job stands. `building`: its targets are still being collected. `planned`: frozen, and nothing is sent before
 * it is applied. `paused`: by a person, or because it went badly; `note` says which.
 */
export type BulkState = 'building' | 'planned' | 'running' | 'paused' | 'finished' | 'aborted';

/** What a plan is to end, in numbers. */
export interface BulkTotals {
  readonly targets: number;
  /** By the state in which each was seen; `unknown`: it was given by its id. */
  readonly byState: Readonly<Record<string, number>>;
  /** The agents with the most targets, most first; at most 20. */
  readonly byAgent: readonly {
    readonly agentId: string | null;
    /** Null where the vendor has shown none, and in what Temporal keeps. */
    readonly name: string | null;
    readonly targets: number;
  }[];
  readonly agents: number;
  /** What was given and not taken up, by why: `duplicate`, `blank`, `malformed`, `capped` (among the targets, but never sent for), `exceptCreator`, `exceptSession`; only those that occurred. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** A few of the targets. */
  readonly sample: readonly {
    readonly sessionId: string;
    readonly agentId: string | null;
    readonly state: string | null;
  }[];
  /** Why the selection may miss sessions, for people; empty: it misses none. */
  readonly gaps: readonly string[];
  /** Age, spend and creators of the targets as they were seen; left out: they were given by their ids, or an older Curfew made the plan. Not in what Temporal keeps. */
  readonly profile?: BulkProfile;
}

/** What is known of the targets of a plan, each with how many it is known of. Times are the vendor's, ISO 8601, UTC. */
export interface BulkProfile {
  /** When the conversations began. */
  readonly sessionsCreated: BulkTimes;
  /** When the turns that are to end began. */
  readonly turnsBegun: BulkTimes;
  /** What the sessions have spent over their lives. */
  readonly credits: { readonly known: number; readonly sum: number };
  readonly creators: number;
  /** E-mail address or id; null: not known. Most targets first; at most 20. */
  readonly byCreator: readonly { readonly creator: string | null; readonly targets: number }[];
}

export interface BulkTimes {
  readonly known: number;
  readonly first: string | null;
  readonly last: string | null;
}

/** A bulk plan or job: what `curfew bulk plan|apply|status --json` print, and the result of the workflow `bulkCancellation`. Times are ISO 8601, UTC. */
export interface BulkStatus {
  readonly planId: string;
  readonly state: BulkState;
  readonly source: 'person' | 'cleanup';
  /** Name of the `cleanup` entry; null: a person's. */
  readonly cleanup: string | null;
  readonly reason: string | null;
  /** What was asked for, as it was written. */
  readonly selection: Readonly<Record<string, unknown>>;
  readonly requestedBy: string;
  readonly createdAt: string;
  /** After this it can't be applied any more. */
  readonly expiresAt: string | null;
  /** SHA-256 of the targets, and of the exceptions where there are any, in hexadecimal; null while it is being built. */
  readonly hash: string | null;
  readonly totals: BulkTotals;
  readonly appliedAt: string | null;
  readonly appliedBy: string | null;
  readonly finishedAt: string | null;
  readonly fast: boolean;
  readonly evenIfExempt: boolean;
  /** Sessions a second, at most. */
  readonly rate: number;
  /** Targets that go first. */
  readonly canary: number;
  readonly phase: 'canary' | 'main' | 'done' | null;
  /** Why it is paused or held, for people; null: nothing holds it. */
  readonly note: string | null;
  readonly progress: BulkProgress;
}

/** Every target is in exactly one of these numbers, `requests` apart. */
export interface BulkProgress {
  /** Nothing was sent for them yet; after an abort they stay untouched. */
  readonly waiting: number;
  /** A cancel request is under way, or its effect is being confirmed. */
  readonly underWay: number;
  /** Not ended by the first request: a case of its own works on each. */
  readonly openCases: number;
  /** By outcome; only those that occurred. */
  readonly outcomes: { readonly [Name in Outcome]?: number };
  /** Cancel requests sent by the job itself. */
  readonly requests: number;
}

/** One line of `curfew bulk report --format jsonl`. */
export interface BulkTargetResult extends OrderResult {
  /** `untouched`: nothing was sent for it, and nothing will be. `case`: a case of its own is at work. */
  readonly status: 'waiting' | 'under-way' | 'case' | 'settled' | 'untouched';
}
