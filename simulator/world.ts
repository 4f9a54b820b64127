import { randomInt } from 'node:crypto';
import { Agenda } from './agenda.js';
import { ApiError, notFound, type ErrorShape } from './errors.js';
import { FaultBook, type Scope } from './faults.js';
import type { FaultInput } from './fault-schema.js';
import { keyInFlight, look, type Look } from './look.js';
import { livePast, sessionFrom } from './populate.js';
import { idsFrom, seededRandom, type NewId } from './random.js';
import { isInFlight, type EndedBy, type SessionRecord, type SessionState } from './session.js';
import { SlotPool } from './slots.js';
import { TruthBook, truthOf, type RequestCounts, type Truth } from './truth.js';
import { Turns } from './turns.js';
import type { AgentRecord, TeamRecord } from './wire.js';
import {
  agentSchema,
  MAX_QUEUED_MESSAGES,
  sessionSchema,
  teamSchema,
  turnSchema,
  type AgentInput,
  type SessionInput,
  type TeamInput,
  type TurnInput,
} from './world-schema.js';

export interface WorldOptions {
  readonly userId: string;
  /** Runs at the same time; the vendor's Pro plan has 25. */
  readonly slots: number;
  /** What a message meets when no slot is free: a place in the queue, or 429 (plans without queueing). */
  readonly whenSlotsAreFull: 'queue' | 'reject';
  /** Processing time of turns that the API starts in new sessions, ms; null: they never end by themselves. */
  readonly turnsRunFor: number | null;
  /** Whether a cancelled run counts as a failed one of its trigger. The vendor does not say. Default: it does. */
  readonly cancelFailsTrigger?: boolean | undefined;
  /** Form of error bodies, save for those that have a form of their own. */
  readonly errorShape: ErrorShape;
  /** Makes ids and chances repeatable. */
  readonly seed?: number | undefined;
  readonly now: () => number;
}

export interface SessionSnapshot {
  readonly id: string;
  readonly agentId: string;
  readonly state: SessionState;
  /** Id of the last user message; null when there is none. */
  readonly turnKey: string | null;
  readonly queuedMessages: number;
}

/**
 * The account that the simulator plays: agents, sessions and their turns, slots, faults, the key, and the truth.
 *
 * Every operation first lets happen what is due by the clock.
 */
export class World {
  readonly faults: FaultBook;
  readonly truthBook = new TruthBook();
  readonly agenda = new Agenda();
  readonly slots: SlotPool;
  readonly turns: Turns;
  readonly newId: NewId;
  readonly #agents = new Map<string, AgentRecord>();
  readonly #teams = new Map<string, TeamRecord>();
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #byAgent = new Map<string, { items: SessionRecord[]; sorted: boolean }>();
  readonly #removed = new Set<string>();
  #clockOffset = 0;
  #keyRevoked = false;

  constructor(readonly options: WorldOptions) {
    const random = seededRandom(options.seed ?? randomInt(2 ** 32));
    this.newId = idsFrom(random);
    this.faults = new FaultBook(random);
    this.slots = new SlotPool(options.slots);
    this.turns = new Turns(this.agenda, this.slots, this.newId, (...run) => this.#runOver(...run));
  }

  // Time

  /** Ms since the Unix epoch, by the world's clock. */
  now(): number {
    return this.options.now() + this.#clockOffset;
  }

  /** Sets the world's clock forward, so that nobody need wait for a long turn. @param by - ms */
  advanceClock(by: number): number {
    this.#clockOffset += by;
    return this.settle();
  }

  /** Lets happen what is due. @returns the time up to which that is */
  settle(): number {
    const now = this.now();
    this.agenda.runDue(now);
    return now;
  }

  // Teams, agents and sessions

  /** Adds a team, or changes it. */
  addTeam(input: TeamInput): void {
    const { faults, name, ...team } = teamSchema.parse(input);
    this.#teams.set(team.id, { ...team, name: name ?? team.id });
    this.addFaults({ teamId: team.id }, faults);
  }

  teams(): Iterable<TeamRecord> {
    return this.#teams.values();
  }

  team(id: string): TeamRecord | null {
    return this.#teams.get(id) ?? null;
  }

  addAgent(input: AgentInput = {}): { id: string } {
    const { faults, active, triggers, ...plan } = agentSchema.parse(input);
    const now = this.settle();
    const id = plan.id ?? this.newId('agent');
    if (this.#agents.has(id)) throw new ApiError(409, 'agent_already_exists', `There is an agent ${id} already.`);
    const creatorUserId = plan.creatorUserId ?? this.options.userId;
    this.#agents.set(id, {
      ...{ ...plan, id, creatorUserId, createdAt: now, active },
      triggers: triggers.map((trigger) => ({ ...trigger, failuresInRow: 0, lastRunAt: null })),
    });
    if (plan.teamId !== null && !this.#teams.has(plan.teamId)) this.addTeam({ id: plan.teamId });
    this.#byAgent.set(id, { items: [], sorted: true });
    this.faults.add({ agentId: id }, faults, now);
    return { id };
  }

  /** The agent leaves the lists, and it and its sessions' list answer 404. */
  retireAgent(id: string): void {
    this.agent(id).active = false;
  }

  agents(): Iterable<AgentRecord> {
    return this.#agents.values();
  }

  /** @throws {ApiError} 404 when there is none, or it is retired */
  agent(id: string): AgentRecord {
    const agent = this.#agents.get(id);
    if (!agent?.active) throw notFound('agent');
    return agent;
  }

  agentOf(session: SessionRecord): AgentRecord {
    const agent = this.#agents.get(session.agentId);
    if (agent === undefined) throw notFound('agent');
    return agent;
  }

  /** @returns its id, and the key of its current or last turn */
  addSession(input: SessionInput): { id: string; turnKey: string | null } {
    const plan = sessionSchema.parse(input);
    const now = this.settle();
    this.agent(plan.agent);
    const id = plan.id ?? this.newId('sess');
    if (this.#sessions.has(id)) throw new ApiError(409, 'session_already_exists', `There is a session ${id} already.`);
    const session = sessionFrom(plan, id, this.options.userId, now);
    livePast(session, plan, { turns: this.turns, slots: this.slots, newId: this.newId, now });
    const { queuedMessages } = plan;
    const texts =
      typeof queuedMessages === 'number' ? Array<string>(queuedMessages).fill('And one more thing.') : queuedMessages;
    for (const text of texts) session.queue.push({ id: this.newId('qmsg'), text, at: now });
    this.#sessions.set(id, session);
    const siblings = this.#byAgent.get(plan.agent);
    siblings?.items.push(session);
    if (siblings !== undefined) siblings.sorted = false;
    this.faults.add({ sessionId: id }, plan.faults, now);
    return { id, turnKey: session.turns.at(-1)?.key ?? null };
  }

  /** From now on it answers 404 and is in no list; the truth remembers it. */
  removeSession(id: string): void {
    const session = this.find(id);
    this.turns.drop(session, this.settle());
    this.#removed.add(id);
    const siblings = this.#byAgent.get(session.agentId);
    if (siblings !== undefined) siblings.items = siblings.items.filter((sibling) => sibling !== session);
  }

  /** Sessions of one agent, oldest first. */
  sessionsOf(agentId: string): readonly SessionRecord[] {
    const sessions = this.#byAgent.get(agentId);
    if (sessions === undefined) return [];
    if (!sessions.sorted) {
      sessions.items.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
      sessions.sorted = true;
    }
    return sessions.items;
  }

  /** @throws {ApiError} 404 when there is none */
  find(id: string): SessionRecord {
    const session = this.findOrNull(id);
    if (session === null) throw notFound('session');
    return session;
  }

  findOrNull(id: string): SessionRecord | null {
    return this.#removed.has(id) ? null : (this.#sessions.get(id) ?? null);
  }

  session(id: string): SessionSnapshot {
    this.settle();
    const session = this.find(id);
    const turnKey = session.turns.at(-1)?.key ?? null;
    return { id, agentId: session.agentId, state: session.state, turnKey, queuedMessages: session.queue.length };
  }

  /** What a read sees at `now`: the truth, unless a fault hides it. */
  look(session: SessionRecord, now: number): Look {
    return look(session, now, this.faults.lag({ sessionId: session.id, agentId: session.agentId }, now));
  }

  // Turns

  /** Starts a turn on a session that rests. @throws {ApiError} 409 while one is in flight */
  startTurn(sessionId: string, input: TurnInput = {}): { turnKey: string } {
    const plan = turnSchema.parse(input);
    const now = this.settle();
    const session = this.find(sessionId);
    if (isInFlight(session)) {
      throw new ApiError(409, 'interaction_not_in_terminal_state', 'A turn of this session is still in flight.');
    }
    const { runsFor = session.nextTurns.runsFor, endsAs = session.nextTurns.endsAs, leavesQueue, message } = plan;
    return { turnKey: this.turns.start(session, { text: message, runsFor, endsAs, leavesQueue }, now).key };
  }

  /** Ends the open turn as if by itself. */
  endTurn(sessionId: string, as: 'completed' | 'failed' = 'completed'): void {
    const now = this.settle();
    this.turns.end(this.find(sessionId), as, 'control', now);
  }

  /** Puts a user message into the running turn. @throws {ApiError} 409 when none is running */
  steer(sessionId: string, message = 'And please hurry.'): { turnKey: string } {
    const now = this.settle();
    const turnKey = this.turns.steer(this.find(sessionId), message, now);
    if (turnKey === null) throw new ApiError(409, 'no_running_turn', 'No turn of this session is running.');
    return { turnKey };
  }

  /** Pauses the running turn with an open ask. @throws {ApiError} 409 when none is running */
  requireApproval(sessionId: string, title = 'May I go on?'): { askId: string } {
    const now = this.settle();
    const askId = this.turns.pause(this.find(sessionId), title, now);
    if (askId === null) throw new ApiError(409, 'no_running_turn', 'No turn of this session is running.');
    return { askId };
  }

  /** Answers all open asks: the turn goes on. */
  approve(sessionId: string): void {
    const now = this.settle();
    const session = this.find(sessionId);
    session.asks = [];
    this.turns.resume(session, now);
  }

  /** Lets a held session go for the next free slot. */
  release(sessionId: string): void {
    const now = this.settle();
    this.turns.release(this.find(sessionId), now);
  }

  /** Adds a message that waits for the end of the turn. @throws {ApiError} 409 `queue_full` */
  queueMessage(sessionId: string, message: string): { id: string } {
    const now = this.settle();
    const session = this.find(sessionId);
    if (session.queue.length >= MAX_QUEUED_MESSAGES) {
      throw new ApiError(409, 'queue_full', `No more than ${MAX_QUEUED_MESSAGES} messages can wait.`);
    }
    const id = this.newId('qmsg');
    session.queue.push({ id, text: message, at: now });
    return { id };
  }

  /** A trigger whose runs fail too often in a row switches itself off. */
  #runOver({ agentId, triggerId }: SessionRecord, as: 'completed' | 'failed', by: EndedBy, at: number): void {
    const trigger = this.#agents.get(agentId)?.triggers.find(({ id }) => id === triggerId);
    if (trigger === undefined) return;
    trigger.lastRunAt = at;
    if (as === 'completed') {
      trigger.failuresInRow = 0;
      return;
    }
    if (typeof by === 'object' && this.options.cancelFailsTrigger === false) return;
    trigger.failuresInRow += 1;
    if (trigger.failuresInRow >= trigger.maxFailures) trigger.enabled = false;
  }

  // Faults and the key

  /** Replaces the faults of a scope. */
  setFaults(scope: Scope, faults: readonly FaultInput[]): void {
    this.faults.clear(scope);
    this.addFaults(scope, faults);
  }

  addFaults(scope: Scope, faults: readonly FaultInput[]): void {
    this.faults.add(scope, faults, this.settle());
  }

  /** Without a scope: all faults. */
  clearFaults(scope?: Scope): void {
    this.faults.clear(scope);
  }

  get keyRevoked(): boolean {
    return this.#keyRevoked;
  }

  /** From now on every request answers 401, with whatever credential. */
  revokeKey(): void {
    this.#keyRevoked = true;
  }

  restoreKey(): void {
    this.#keyRevoked = false;
  }

  // Truth

  /** What really happened. @param sessionId - only this session and its cancel requests */
  truth(sessionId?: string): Truth {
    const now = this.settle();
    const only = sessionId === undefined ? undefined : this.#sessions.get(sessionId);
    if (sessionId !== undefined && only === undefined) throw notFound('session');
    const sessions = only === undefined ? [...this.#sessions.values()] : [only];
    const book = this.truthBook;
    return {
      ...this.requestCounts(),
      now,
      sessions: Object.fromEntries(sessions.map((s) => [s.id, truthOf(s, book.mostInProgress(s.id))])),
      cancels: (only === undefined ? book.cancels : book.cancelsOf(only.id)).map((cancel) => ({ ...cancel })),
      maxConcurrentCancels: only === undefined ? book.mostInProgressAnywhere() : book.mostInProgress(only.id),
    };
  }

  /** How much was asked of the API: cheap however large the world is. */
  requestCounts(): RequestCounts {
    const { requests, unauthorized } = this.truthBook;
    return { now: this.now(), requests: { ...requests }, unauthorized };
  }

  /** Notes the arrival of a cancel request, before anything is done about it. */
  cancelArrived(requestId: string, sessionId: string): void {
    const at = this.settle();
    const session = this.findOrNull(sessionId);
    const turnInFlight = session === null ? null : keyInFlight(session);
    this.truthBook.cancelArrived({ requestId, sessionId, at, turnInFlight, stateBefore: session?.state ?? null });
  }

  counts(): Record<string, number> {
    this.settle();
    const counts: Record<string, number> = { agents: this.#agents.size, sessions: this.#sessions.size };
    for (const session of this.#sessions.values()) counts[session.state] = (counts[session.state] ?? 0) + 1;
    return counts;
  }
}
