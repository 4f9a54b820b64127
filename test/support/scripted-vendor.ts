import type { Clock } from '../../src/platform/clock.js';
import type { Turn } from '../../src/core/policy/turn.js';
import {
  SessionsError,
  type Agent,
  type Answer,
  type CancelAnswer,
  type CancelOptions,
  type QueuedMessage,
  type Session,
  type SessionsClient,
  type Usage,
} from '../../src/adapters/vendor/index.js';
import { transcriptOf } from '../../src/core/policy/turn.js';
import { SeenReads } from './seen-reads.js';

/** Both clocks of a process, moved by the test alone. */
export class FakeClock implements Clock {
  #wall: number;
  #monotonic = 5_000_000;

  constructor(startMs: number) {
    this.#wall = startMs;
  }

  wall = (): number => this.#wall;
  monotonic = (): number => this.#monotonic;

  advance(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }

  /** Someone sets the wall clock. */
  jump(ms: number): void {
    this.#wall += ms;
  }
}

/** What a read shows: a state, and the turns, oldest first. */
export interface Shown {
  readonly state: string | null;
  readonly turns: readonly Turn[];
  /** Total over the life of the session; null or left out: the vendor tells no usage. */
  readonly credits?: number | null;
}

/** Answers in the order of the calls, or by a function of the call's number, from 0. */
export type Script<T> = readonly T[] | ((call: number) => T);

/** A vendor that answers by a script. It takes {@link READ_MS} and {@link CANCEL_MS} of the fake clock for it. */
export class ScriptedVendor implements SessionsClient {
  /** The last answer of a list is given again and again. */
  reads: Script<Shown | SessionsError> = [];
  /** A request more than the list has answers for is a failure of the test. */
  cancels: Script<CancelAnswer['state'] | SessionsError> = [];
  agents: Script<readonly Agent[] | SessionsError> = () => [];
  queue: Script<readonly QueuedMessage[] | SessionsError> = () => [];
  /** What happens while a cancel request is under way. */
  duringCancel: () => void | Promise<void> = () => undefined;
  readMs = READ_MS;
  /** How old the read before a cancel request may be, ms: more where a person has said so. */
  maxReadAgeMs = 2_000;
  /** The vendor's clock minus ours, ms. */
  skewMs = 0;

  /** Our time of each read, ms. */
  readonly readAt: number[] = [];
  readonly cancelOptions: (CancelOptions | undefined)[] = [];
  readonly brokenPromises: string[] = [];
  readonly #reads = new SeenReads();

  constructor(readonly clock: FakeClock) {}

  get cancelCalls(): number {
    return this.cancelOptions.length;
  }

  async retrieveSession(sessionId: string): Promise<Answer<Session>> {
    const sentAt = this.clock.monotonic();
    const reply = next(this.reads, this.readAt.length, 'repeat');
    this.readAt.push(this.clock.wall());
    this.clock.advance(this.readMs);
    const shown = reply instanceof SessionsError ? null : sessionOf(sessionId, reply);
    this.#reads.note(sessionId, sentAt, this.clock.monotonic(), shown);
    return this.#answer(sentAt, reply, (shown) => sessionOf(sessionId, shown));
  }

  async cancelSession(sessionId: string, options?: CancelOptions): Promise<Answer<CancelAnswer>> {
    const sentAt = this.clock.monotonic();
    // Watched in every test.
    const broken = this.#reads.brokenBy(sessionId, sentAt, this.maxReadAgeMs);
    if (broken !== null) this.brokenPromises.push(broken);

    const reply = next(this.cancels, this.cancelCalls, 'fail');
    this.cancelOptions.push(options);
    this.clock.advance(CANCEL_MS);
    await this.duringCancel();
    return this.#answer(sentAt, reply, (state) => ({ id: sessionId, state }));
  }

  readonly teamId = null;
  async listTeams(): ReturnType<SessionsClient['listTeams']> {
    return this.#answer(this.clock.monotonic(), [], (teams) => ({ teams, nextCursor: null, unreadable: 0 }));
  }

  #agentCalls = 0;
  async listAgents(): ReturnType<SessionsClient['listAgents']> {
    const reply = next(this.agents, this.#agentCalls++, 'repeat');
    return this.#answer(this.clock.monotonic(), reply, (agents) => ({ agents, nextCursor: null, unreadable: 0 }));
  }

  #queueCalls = 0;
  async listQueue(): Promise<Answer<readonly QueuedMessage[]>> {
    return this.#answer(this.clock.monotonic(), next(this.queue, this.#queueCalls++, 'repeat'), (queued) => queued);
  }

  listTriggers(): never {
    throw new Error('The gate does not list triggers.');
  }

  listSessions(): never {
    throw new Error('The gate does not list sessions.');
  }

  async #answer<R, T>(sentAt: number, reply: R | SessionsError, read: (reply: R) => T): Promise<Answer<T>> {
    // As over the wire: never in the same turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    if (reply instanceof SessionsError) throw reply;
    const serverDateMs = Math.floor((this.clock.wall() + this.skewMs) / 1_000) * 1_000;
    return { value: read(reply), status: 200, serverDateMs, sentAt, receivedAt: this.clock.monotonic() };
  }
}

export const READ_MS = 40;
const CANCEL_MS = 60;

function next<T>(script: Script<T>, call: number, whenExhausted: 'repeat' | 'fail'): T {
  if (typeof script === 'function') return script(call);
  if (whenExhausted === 'fail' && call >= script.length) {
    throw new Error(`The script has ${script.length} answers to cancel requests, and one more was sent.`);
  }
  const reply = script[Math.min(call, script.length - 1)];
  if (reply === undefined) throw new Error('The script says nothing about this call.');
  return reply;
}

function sessionOf(id: string, { state, turns, credits = null }: Shown): Session {
  return {
    id,
    agentId: 'agent-1',
    agentName: null,
    name: null,
    type: 'api',
    state,
    createdAtMs: null,
    transcript: transcriptOf(
      turns.flatMap(({ key, startedAtMs }) => [
        { id: key, role: 'user', createdAtMs: startedAtMs },
        { id: `${key}-answer`, role: 'assistant', createdAtMs: startedAtMs },
      ]),
    ),
    usage: credits === null ? null : { ...NO_USAGE, creditCost: credits },
    creatorId: null,
    creatorEmail: null,
    teamId: null,
    triggerId: null,
    queuePosition: null,
  };
}

const NO_USAGE: Usage = {
  creditCost: null,
  toolCreditCost: null,
  flowCreditCost: null,
  inputTokens: null,
  cachedInputTokens: null,
  cacheWriteInputTokens: null,
  outputTokens: null,
  reasoningTokens: null,
};
