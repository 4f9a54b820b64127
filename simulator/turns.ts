import type { Agenda } from './agenda.js';
import type { NewId } from './random.js';
import {
  isInFlight,
  moveTo,
  openTurn,
  type EndedBy,
  type LeavesQueue,
  type SessionRecord,
  type TurnEnd,
  type TurnRecord,
} from './session.js';
import type { SlotPool } from './slots.js';

export interface TurnPlan {
  readonly text: string;
  /** Processing time until the natural end, ms; null: never. */
  readonly runsFor: number | null;
  readonly endsAs: 'completed' | 'failed';
  readonly leavesQueue: LeavesQueue;
}

type OnOver = (session: SessionRecord, as: 'completed' | 'failed', by: EndedBy, at: number) => void;

/**
 * The life of a turn: waits, runs, pauses, ends; and what its end sets going (the slot passes on, a waiting message starts the
 * next turn). All times are given by the caller, in order, so an end that nobody saw still hands its slot over at the right moment.
 */
export class Turns {
  constructor(
    private readonly agenda: Agenda,
    private readonly slots: SlotPool,
    private readonly newId: NewId,
    /** Told of each turn that is over. */
    private readonly onOver: OnOver = () => {},
  ) {}

  /** A user message comes in and asks for a run. The session must not be in flight. */
  start(session: SessionRecord, plan: TurnPlan, at: number): TurnRecord {
    const turn = this.announce(session, plan, at);
    if (plan.leavesQueue === 'slot' && this.slots.hasRoom()) {
      this.process(session, turn, at);
    } else {
      this.#enqueue(session, turn, plan.leavesQueue, at);
    }
    return turn;
  }

  /** Adds the user message and its turn, without a place to run yet. */
  announce(session: SessionRecord, plan: TurnPlan, at: number): TurnRecord {
    const paused = openTurn(session);
    if (paused !== undefined) this.#close(paused, 'superseded', 'natural', at);
    const turn: TurnRecord = {
      key: this.#say(session, 'user', plan.text, at),
      earlierKeys: [],
      createdAt: at,
      startedAt: null,
      endedAt: null,
      endedAs: null,
      endedBy: null,
      remaining: plan.runsFor,
      endsAs: plan.endsAs,
      run: 0,
    };
    session.turns.push(turn);
    return turn;
  }

  /** Gives the turn a slot, even when none is free: callers who care have asked. */
  process(session: SessionRecord, turn: TurnRecord, at: number): void {
    this.slots.take();
    turn.startedAt ??= at;
    turn.run += 1;
    session.periods.push({ from: at, to: null });
    moveTo(session, 'processing', at);
    if (turn.remaining === null) return;
    const run = turn.run;
    this.agenda.add(at + turn.remaining, (end) => {
      if (session.state === 'processing' && openTurn(session) === turn && turn.run === run) {
        this.end(session, turn.endsAs, 'natural', end);
      }
    });
  }

  /** Lets a queued session that was held go for the next free slot. */
  release(session: SessionRecord, at: number): void {
    if (session.state !== 'queued') return;
    this.slots.leave(session);
    this.slots.wait(session);
    this.#handOver(at);
  }

  releaseLater(session: SessionRecord, turn: TurnRecord, at: number): void {
    this.agenda.add(at, (due) => {
      if (openTurn(session) === turn) this.release(session, due);
    });
  }

  /** Ends the open turn. Does nothing when there is none. */
  end(session: SessionRecord, as: 'completed' | 'failed', by: EndedBy, at: number): void {
    const turn = openTurn(session);
    if (turn === undefined) return;
    this.#finish(session, turn, as, by, at);
    this.continueQueue(session, at);
  }

  /** @returns key of the turn that this cancel ended; null when nothing was in flight */
  cancel(session: SessionRecord, requestId: string, at: number): string | null {
    const turn = openTurn(session);
    if (turn === undefined || !isInFlight(session)) return null;
    this.#finish(session, turn, 'failed', { requestId }, at);
    if (session.afterCancel === 'clear-queue') session.queue = [];
    if (session.afterCancel === 'continue-queue') this.continueQueue(session, at);
    return turn.key;
  }

  /** Ends what runs for the sake of a queued message, which then starts the next turn. */
  sendNow(session: SessionRecord, queuedMessageId: string, requestId: string, at: number): void {
    const message = session.queue.find(({ id }) => id === queuedMessageId);
    if (message === undefined) return;
    session.queue = session.queue.filter(({ id }) => id !== queuedMessageId);
    const turn = openTurn(session);
    if (turn !== undefined) this.#finish(session, turn, 'failed', { requestId }, at);
    this.start(session, { ...session.nextTurns, text: message.text, leavesQueue: 'slot' }, at);
  }

  /** The session is deleted: what runs ends, what waits is gone. */
  drop(session: SessionRecord, at: number): void {
    session.queue = [];
    this.end(session, 'failed', 'control', at);
  }

  /** The first waiting message starts the next turn, if the session rests. */
  continueQueue(session: SessionRecord, at: number): void {
    if (openTurn(session) !== undefined) return;
    const message = session.queue.shift();
    if (message === undefined) return;
    this.start(session, { ...session.nextTurns, text: message.text, leavesQueue: 'slot' }, at);
  }

  /** A user message into a running turn: the run goes on under a new key. */
  steer(session: SessionRecord, text: string, at: number): string | null {
    const turn = openTurn(session);
    if (turn === undefined || session.state !== 'processing') return null;
    turn.earlierKeys.push(turn.key);
    turn.key = this.#say(session, 'user', text, at);
    return turn.key;
  }

  /** The running turn stops until a person answers; its slot passes on. */
  pause(session: SessionRecord, title: string, at: number): string | null {
    const turn = openTurn(session);
    if (turn === undefined || session.state !== 'processing') return null;
    const id = this.newId('ask');
    session.asks.push({ id, title });
    this.#stopProcessing(session, turn, at);
    moveTo(session, 'approval_required', at);
    this.#handOver(at);
    return id;
  }

  /** The paused turn goes on without a new user message. */
  resume(session: SessionRecord, at: number): void {
    const turn = openTurn(session);
    if (turn === undefined || session.state !== 'approval_required') return;
    if (this.slots.hasRoom()) this.process(session, turn, at);
    else this.#enqueue(session, turn, 'slot', at);
  }

  #enqueue(session: SessionRecord, turn: TurnRecord, leaves: LeavesQueue, at: number): void {
    moveTo(session, 'queued', at);
    if (leaves === 'slot') {
      this.slots.wait(session);
      this.#handOver(at);
      return;
    }
    this.slots.hold(session);
    if (typeof leaves === 'number') this.releaseLater(session, turn, at + leaves);
  }

  #finish(session: SessionRecord, turn: TurnRecord, as: 'completed' | 'failed', by: EndedBy, at: number): void {
    const ran = session.state === 'processing';
    if (ran) this.#stopProcessing(session, turn, at);
    this.slots.leave(session);
    session.asks = [];
    this.#close(turn, as, by, at);
    if (as === 'completed') this.#say(session, 'assistant', 'Done.', at);
    else this.#say(session, 'assistant', ran ? 'So far I have' : '', at, errorText(by));
    moveTo(session, as, at);
    this.onOver(session, as, by, at);
    this.#handOver(at);
  }

  #close(turn: TurnRecord, as: TurnEnd, by: EndedBy, at: number): void {
    turn.endedAt = at;
    turn.endedAs = as;
    turn.endedBy = by;
  }

  #stopProcessing(session: SessionRecord, turn: TurnRecord, at: number): void {
    const period = session.periods.at(-1);
    if (period?.to === null) {
      period.to = at;
      if (turn.remaining !== null) turn.remaining = Math.max(0, turn.remaining - (at - period.from));
    }
    this.slots.giveBack();
  }

  #handOver(at: number): void {
    for (let session = this.slots.next(); session !== undefined; session = this.slots.next()) {
      const turn = openTurn(session);
      if (turn !== undefined) this.process(session, turn, at);
    }
  }

  #say(session: SessionRecord, role: 'user' | 'assistant', text: string, at: number, error?: string): string {
    const id = this.newId('msg');
    session.messages.push(error === undefined ? { id, role, text, at } : { id, role, text, at, error });
    return id;
  }
}

const errorText = (by: EndedBy): string => (typeof by === 'object' ? 'The run was cancelled.' : 'The run failed.');
