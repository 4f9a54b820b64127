import type { BulkTarget, TargetStatus } from '../../adapters/ledger/bulk-plans.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { BulkSettlement } from '../../adapters/ledger/bulk-writes.js';
import { refusedIn } from '../../core/policy/meaning.js';
import { openCase, type WrittenOrder } from '../cases/open-case.js';
import { errorWith } from '../../adapters/ledger/refusals.js';
import { noteRefusal } from '../../core/policy/refusals.js';
import type { OrderedTurn } from '../../core/policy/sighting.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import { orderErrorOf } from './attempt.js';
import { TakenOver } from './book.js';
import type { Fate } from '../../core/bulk/brake.js';
import type { Settled } from './confirm.js';
import type { RunContext } from './dependencies.js';
import type { Tasks } from '../../platform/tasks.js';

const JOINS_AT_ONCE = 5;
const JOIN_PATIENCE_MS = 10_000;

/** How targets leave a job: with an outcome, or with a case that goes on with them. */
export class Endings {
  readonly #run: RunContext;
  readonly #tasks: Tasks;
  readonly #through: (seq: number, fate: Fate | null) => Promise<void>;
  readonly #joins: WrittenOrder[] = [];
  #joining = 0;

  /** @param through - told of each target that left; null: its row brings it up again */
  constructor(run: RunContext, tasks: Tasks, through: (seq: number, fate: Fate | null) => Promise<void>) {
    this.#run = run;
    this.#tasks = tasks;
    this.#through = through;
  }

  /** Cases whose start is still to be tried. */
  get waiting(): number {
    return this.#joins.length;
  }

  settleConfirmed({ item, ending }: Settled): void {
    const { target, from, turn, agentId } = item;
    const { outcome, attribution, endedAtMs, news } = ending;
    const took = item.accepted === true ? { confirmedAfterMs: this.#run.clock.monotonic() - item.sinceAt } : {};
    const data = { plan: this.#run.key.planId };
    const events = news.map((told) => ({ ...told, sessionId: target.sessionId, data: { ...data, ...told.data } }));
    this.settle(target, from, { outcome, attribution, endedAtMs, turnKey: turn.key, agentId, ...took }, events);
  }

  settle(
    target: BulkTarget,
    from: TargetStatus,
    ending: Pick<BulkSettlement, 'outcome' | 'agentId'> & Partial<Omit<BulkSettlement, 'seq' | 'sessionId' | 'from'>>,
    events: readonly EventToRecord[] = [],
  ): void {
    const { seq, sessionId } = target;
    const nothing = { attribution: null, turnKey: null, endedAtMs: null, error: null };
    this.#tasks.begin(async () => {
      // First, because a settled target is not looked at again: told twice is better than never.
      if (events.length > 0) await this.#run.ledger.recordEvents(events);
      const agentId = ending.agentId ?? target.agentId;
      await this.#run.book.settle({ seq, sessionId, from, ...nothing, ...ending, agentId });
      await this.#through(seq, ending.outcome);
    });
  }

  /** What the first request did not end, or what could not even be looked at, becomes a case. */
  async handOver(
    target: BulkTarget,
    from: 'waiting' | 'answered',
    turn: OrderedTurn | null,
    agentId: string | null,
    error: SessionsError | null,
  ): Promise<void> {
    const { seq, sessionId, seenAtMs } = target;
    const refused = error === null ? null : refusedIn(error);
    const atMs = await this.#run.ledger.now();
    const refusals = refused === null ? [] : noteRefusal([], refused, atMs).refusals;
    const handedOver = await this.#run.ledger.bulkRun.handOver(this.#run.key, [
      {
        ...{ seq, sessionId, from, agentId, seenAtMs },
        turn: turn?.key == null ? null : { key: turn.key, startedAtMs: turn.startedAtMs },
        error: error === null ? null : errorWith(orderErrorOf(error, atMs), refusals),
      },
    ]);
    switch (handedOver.kind) {
      case 'taken-over':
        throw new TakenOver();
      case 'handed-over':
        for (const orderId of handedOver.orderIds) this.#joins.push({ sessionId, orderId });
        await this.#through(seq, 'case');
        break;
      case 'halted':
        // Nothing more is sent. After an abort, what was asked for and did not end is told as such; the rest stays as it is.
        if (handedOver.state === 'aborted' && from === 'answered') {
          this.settle(target, from, { outcome: 'abandoned', agentId });
        } else {
          await this.#through(seq, null);
        }
        break;
    }
  }

  /** Starts the cases of what was handed over. One that can't be started is in the ledger, and found there within a minute. */
  beginCases(): void {
    while (this.#joining < JOINS_AT_ONCE) {
      const join = this.#joins.shift();
      if (join === undefined) return;
      this.#joining += 1;
      this.#tasks.begin(async () => {
        await openCase(this.#run, join, JOIN_PATIENCE_MS);
        this.#joining -= 1;
      });
    }
  }
}
