import type { SentRequest } from '../../core/policy/conclusion.js';

/** What came back for a request. Refused: it certainly had no effect. */
export interface RequestAnswer {
  readonly answer: SentRequest['answer'];
  readonly state: string | null;
  readonly httpStatus: number | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** Vendor's time of the answer, ms. */
  readonly answeredAtMs: number;
}

/** A request row as the conclusion needs it. */
export interface RequestRow extends SentRequest {
  readonly id: string;
  readonly readAtMs: number;
  /** Vendor's time by which it had left, ms; null: not known. */
  readonly leftByMs: number | null;
  readonly answeredAtMs: number | null;
}
