import type { Refusal } from './policy/refusals.js';

/**
 * Why a step could not finish. Each is a fact, not a fault of Curfew; the step is tried again after a wait.
 *
 * `counts`: whether the wait counts towards giving up. What we or the account hold back does not.
 */
const REASONS = {
  CancelFailed: { counts: true },
  Refused: { counts: true },
  ReadTooOld: { counts: true },
  ApiUnavailable: { counts: false },
  RateLimited: { counts: false },
  AccountRefused: { counts: false },
  Paused: { counts: false },
  SenderBusy: { counts: false },
  LedgerUnavailable: { counts: false },
  RuleUnknown: { counts: false },
  InDoubt: { counts: false },
  WorkerStopping: { counts: false },
} as const;
export type TryAgainReason = keyof typeof REASONS;

export const isTryAgainReason = (type: string | null | undefined): boolean =>
  type != null && Object.hasOwn(REASONS, type);

export class TryAgain extends Error {
  override readonly name = 'TryAgain';
  readonly counts: boolean;

  /**
   * @param message - what happened, for people; free of secrets
   * @param afterMs - wait before the next try
   * @param refusals - what the vendor refuses for the session now; left out: what was known of it stays so
   */
  constructor(
    readonly reason: TryAgainReason,
    message: string,
    readonly afterMs: number,
    readonly refusals?: readonly Refusal[],
  ) {
    super(message);
    this.counts = REASONS[reason].counts;
  }
}

/** Thrown to all that still wait for their turn with the vendor when their worker stops: nothing was sent. */
export const workerStopping = (): TryAgain =>
  new TryAgain('WorkerStopping', 'This worker stops, and what had not been sent yet is for another one to send.', 0);

export const isWorkerStopping = (error: unknown): boolean =>
  error instanceof TryAgain && error.reason === 'WorkerStopping';
