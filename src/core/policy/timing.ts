/** When a case looks, tries and tells. All values are ms. */
export interface CaseTiming {
  /** Waits between the confirming reads after an accepted request; their sum is the confirm window. */
  readonly confirmGapsMs: readonly number[];
  /** Wait between the two reads that must both answer 404 before a session counts as gone. */
  readonly missingGapMs: number;
  /** Least time between the first and the last of the refusals that settle an order. */
  readonly refusedForMs: number;
  /** Longest wait between attempts. */
  readonly retryCapMs: number;
  /** Wait before a refused key, or an account without rights, is tried again. */
  readonly accountRetryMs: number;
  /** Wait while something on our side holds the request: pause switch, another sender, ledger. */
  readonly heldRetryMs: number;
  /** Time in vain after which someone is told. */
  readonly alertAfterMs: number;
  /** Time in vain after which an order is given up. */
  readonly giveUpAfterMs: number;
  /** Waits between the looks for a restart after the end. */
  readonly restartGapsMs: readonly number[];
  /** Further looks, when messages wait in the session's queue. */
  readonly restartGapsWithQueueMs: readonly number[];
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const DEFAULT_TIMING: CaseTiming = {
  confirmGapsMs: [2 * SECOND, 3 * SECOND, 5 * SECOND, 10 * SECOND, 20 * SECOND],
  missingGapMs: MINUTE,
  refusedForMs: MINUTE,
  retryCapMs: MINUTE,
  accountRetryMs: MINUTE,
  heldRetryMs: 5 * SECOND,
  alertAfterMs: 5 * MINUTE,
  giveUpAfterMs: 24 * HOUR,
  restartGapsMs: [5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND],
  restartGapsWithQueueMs: [MINUTE, MINUTE, MINUTE, MINUTE, MINUTE],
};

/** Time between two scans of an agent, ms, where no scan has said another. */
export const DEFAULT_SCAN_MS = 15_000;

/** What is seen so long after an answer counts, ms: reads and lists may lag behind it. */
export const settleMs = ({ confirmGapsMs }: Pick<CaseTiming, 'confirmGapsMs'>): number => confirmGapsMs[0] ?? 0;

/** From an accepted request to the last confirming read, ms. */
export const confirmWindowMs = ({ confirmGapsMs }: Pick<CaseTiming, 'confirmGapsMs'>): number =>
  confirmGapsMs.reduce((sum, gap) => sum + gap, 0);
