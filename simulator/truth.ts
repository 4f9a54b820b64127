import { OPERATIONS, type FaultName, type Operation } from './fault-schema.js';
import type { EndedBy, SessionRecord, SessionState, TurnEnd } from './session.js';

/** What the sender of a cancel request got. `pending`: nothing yet. `client-gone`: it gave up first, as after a hang. */
export interface Answered {
  readonly kind: 'pending' | 'answer' | 'reset' | 'truncated' | 'client-gone';
  /** HTTP status, when one was sent. */
  readonly status: number | null;
  /** Content type without parameters, such as `text/html`, when a body was sent. */
  readonly contentType: string | null;
  /** `session.state` of the answer, when it carries one. */
  readonly state: string | null;
}

/** One cancel request, from its arrival on. */
export interface CancelRecord {
  readonly requestId: string;
  readonly sessionId: string;
  /** Arrival, ms since the Unix epoch. */
  readonly at: number;
  /** Key of the turn in flight when the request came; null when none was, or the session is unknown. */
  readonly turnInFlight: string | null;
  readonly stateBefore: SessionState | null;
  fault: FaultName | null;
  /** Whether it ended a turn. Can become true after the answer. */
  effect: boolean;
  /** Which one: another than `turnInFlight` when a new turn came in between. */
  endedTurn: string | null;
  answered: Answered;
}

export interface TurnTruth {
  readonly turnKey: string;
  /** Keys before it was steered by further user messages. */
  readonly earlierKeys: readonly string[];
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly endedAs: TurnEnd | null;
  readonly endedBy: EndedBy | null;
}

export interface SessionTruth {
  readonly agentId: string;
  readonly state: SessionState;
  readonly queuedMessages: number;
  readonly turns: readonly TurnTruth[];
  /** The most cancel requests that were ever in progress at the same time. */
  readonly maxConcurrentCancels: number;
}

/** What a client has asked for so far; the difference of two of these gives rates. */
export interface RequestCounts {
  /** By the world's clock, ms since the Unix epoch. */
  readonly now: number;
  /** Requests by operation, refused ones included. */
  readonly requests: Readonly<Record<Operation, number>>;
  /** Requests refused with 401 for their credential. */
  readonly unauthorized: number;
}

export interface Truth extends RequestCounts {
  readonly sessions: Readonly<Record<string, SessionTruth>>;
  readonly cancels: readonly CancelRecord[];
  /** The highest of all sessions. */
  readonly maxConcurrentCancels: number;
}

const PENDING: Answered = { kind: 'pending', status: null, contentType: null, state: null };

/** Keeps what happened, apart from what answers claim. */
export class TruthBook {
  readonly #cancels: CancelRecord[] = [];
  readonly #byRequest = new Map<string, CancelRecord>();
  readonly #bySession = new Map<string, CancelRecord[]>();
  readonly #inProgress = new Map<string, number>();
  readonly #mostInProgress = new Map<string, number>();
  readonly requests = Object.fromEntries(OPERATIONS.map((name) => [name, 0])) as Record<Operation, number>;
  unauthorized = 0;

  get cancels(): readonly CancelRecord[] {
    return this.#cancels;
  }

  cancelArrived(arrival: Pick<CancelRecord, 'requestId' | 'sessionId' | 'at' | 'turnInFlight' | 'stateBefore'>): void {
    const record: CancelRecord = { ...arrival, fault: null, effect: false, endedTurn: null, answered: PENDING };
    this.#cancels.push(record);
    this.#byRequest.set(record.requestId, record);
    const ofSession = this.#bySession.get(record.sessionId);
    if (ofSession === undefined) this.#bySession.set(record.sessionId, [record]);
    else ofSession.push(record);
    const concurrent = (this.#inProgress.get(record.sessionId) ?? 0) + 1;
    this.#inProgress.set(record.sessionId, concurrent);
    this.#mostInProgress.set(record.sessionId, Math.max(concurrent, this.mostInProgress(record.sessionId)));
  }

  /** Oldest first. */
  cancelsOf(sessionId: string): readonly CancelRecord[] {
    return this.#bySession.get(sessionId) ?? [];
  }

  /** The record of a cancel request, in progress or answered; undefined for other requests. */
  cancelOf(requestId: string): CancelRecord | undefined {
    return this.#byRequest.get(requestId);
  }

  /** Notes that a cancel request ended a turn, perhaps long after its answer. */
  cancelHadEffect(requestId: string, endedTurn: string): void {
    const record = this.#byRequest.get(requestId);
    if (record === undefined) return;
    record.effect = true;
    record.endedTurn = endedTurn;
  }

  /** Closes the record of a cancel request. Must be called before the answer leaves; later calls change nothing. */
  cancelAnswered(requestId: string, answered: Answered): void {
    const record = this.#byRequest.get(requestId);
    if (record?.answered.kind !== 'pending') return;
    record.answered = answered;
    const left = (this.#inProgress.get(record.sessionId) ?? 1) - 1;
    if (left === 0) this.#inProgress.delete(record.sessionId);
    else this.#inProgress.set(record.sessionId, left);
  }

  mostInProgress(sessionId: string): number {
    return this.#mostInProgress.get(sessionId) ?? 0;
  }

  mostInProgressAnywhere(): number {
    let most = 0;
    for (const count of this.#mostInProgress.values()) most = Math.max(most, count);
    return most;
  }
}

export function truthOf(session: SessionRecord, maxConcurrentCancels: number): SessionTruth {
  return {
    agentId: session.agentId,
    state: session.state,
    queuedMessages: session.queue.length,
    turns: session.turns.map((turn) => ({
      turnKey: turn.key,
      earlierKeys: [...turn.earlierKeys],
      createdAt: turn.createdAt,
      startedAt: turn.startedAt,
      endedAt: turn.endedAt,
      endedAs: turn.endedAs,
      endedBy: turn.endedBy,
    })),
    maxConcurrentCancels,
  };
}
