import { createHash } from 'node:crypto';
import * as z from 'zod';
import { readTranscript, transcriptOf, type MessageHead, type Transcript } from '../../core/policy/turn.js';
import { VENDOR_BOUNDS } from '../../core/bounds.js';
import { isSessionId } from '../../core/ids.js';
import { parseJson } from './failures.js';
import { overBounds } from './json-bounds.js';
import { extractJson, objectOf, VALUE, type Wanted } from './json-extract.js';
import { shortened } from '../../core/text/printable.js';
import { isStorable, storableText } from '../../core/text/storable.js';
import { parseTime } from '../../platform/http-times.js';
import type {
  Agent,
  AgentPage,
  CancelAnswer,
  QueuedMessage,
  Session,
  SessionPage,
  TriggerPage,
  Team,
  TeamPage,
  Usage,
} from './types.js';

/**
 * The vendor's JSON, in all generations. A field that is absent, null, of another type or out of bounds becomes null; unknown fields, and
 * with them all text of messages, are dropped. Only an answer that cannot be what was asked for is refused.
 */

/** The answer is JSON, but not an answer to the question. Its message is for people and repeats nothing that was sent. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}

const field = <T>(read: (value: unknown) => T) => z.unknown().optional().transform(read);

/** Too long, or not as a database could give it back, an id is not known: cut off, it could be another one. */
const usableId = (value: unknown, most: number): string | null =>
  typeof value === 'string' && value !== '' && bytesWithin(value, most) && isStorable(value) ? value : null;
const id = field((value) => usableId(value, VENDOR_BOUNDS.id.most));
/** Of a session, an agent or a trigger. */
const pathId = field((value) => (typeof value === 'string' && isSessionId(value) ? value : null));
const messageId = field(
  (value) =>
    usableId(value, VENDOR_BOUNDS.id.most) ?? (typeof value === 'string' && value !== '' ? digestOf(value) : null),
);
const email = field((value) => usableId(value, VENDOR_BOUNDS.email.most));
const name = field((value) => (typeof value === 'string' ? kept(value, VENDOR_BOUNDS.name.most) : null));
/** Of an open set, such as a state. Too long, it is none that anybody knows. */
const word = field((value) =>
  typeof value === 'string' ? kept(value.trim().toLowerCase(), VENDOR_BOUNDS.state.most) : null,
);
const time = field(parseTime);
const amount = field(parseAmount);
const truth = field((value) => (typeof value === 'boolean' ? value : null));

const channel = field((value) => (typeof value === 'string' ? kept(value, VENDOR_BOUNDS.state.most) : null));

const messageWire = z.object({ id: messageId, role: word, created_at: time });
const queuedWire = z.object({ id, state: word, position: amount, created_at: time });
/** One of which nothing is known waits all the same. */
const queuedItem = queuedWire.catch({ id: null, state: null, position: null, created_at: null });
const creatorWire = z.object({ id, email });
const usageWire = z.object({
  credit_cost: amount,
  tool_credit_cost: amount,
  flow_credit_cost: amount,
  input_tokens: amount,
  cached_input_tokens: amount,
  cache_write_input_tokens: amount,
  output_tokens: amount,
  reasoning_tokens: amount,
});
const sessionWire = z.object({
  id: z.string().refine(isSessionId),
  agent_id: pathId,
  agent_name: name,
  agent_team_id: id,
  name,
  type: channel,
  state: word,
  created_at: time,
  usage: usageWire.nullish().catch(null),
  creator: creatorWire.nullish().catch(null),
  trigger_id: pathId,
});
const triggerWire = z.object({ id: z.string().refine(isSessionId), type: word, enabled: truth, max_failures: amount });
const agentWire = z.object({
  id: z.string().refine(isSessionId),
  name,
  team_id: id,
  is_active: truth,
  creator: creatorWire.nullish().catch(null),
});

const teamWire = z.object({ id: z.string().refine(isSessionId), name });

const cursorWire = z
  .string()
  .max(VENDOR_BOUNDS.cursor.most)
  .nullish()
  .transform((cursor) => cursor || null);
const sessionAnswer = z.object({ session: sessionWire, queue_position: amount });
const cancelAnswer = z.object({ session: z.object({ id: z.string().refine(isSessionId), state: word }) });
const transcriptAnswer = z.object({ session: z.object({ messages: z.array(z.unknown()) }) });
const sessionListAnswer = z.object({ sessions: z.array(z.unknown()), next_cursor: cursorWire });
const agentListAnswer = z.object({ agents: z.array(z.unknown()), next_cursor: cursorWire });
const triggerListAnswer = z.object({ triggers: z.array(z.unknown()), next_cursor: cursorWire });
const teamListAnswer = z.object({ teams: z.array(z.unknown()), next_cursor: cursorWire });
const queueAnswer = z.object({ queue: z.array(z.unknown()) });

/** Takes the body of an answer in pieces. */
export interface BodyReader<T> {
  /** @throws {UnreadableAnswer} when it can't become an answer any more */
  write(piece: Uint8Array): void;
  /** @throws {UnreadableAnswer} */
  end(): T;
}

/** Reads an answer when it is whole: for all but transcripts they are small. */
export function wholeJson<T>(read: (json: unknown) => T): BodyReader<T> {
  const pieces: Uint8Array[] = [];
  return {
    write: (piece) => void pieces.push(piece),
    end: () => {
      const body = pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
      const problem = overBounds(body);
      if (problem !== null) throw new UnreadableAnswer(`it ${problem}`);
      const json = parseJson(body);
      if (json === undefined) throw new UnreadableAnswer('it is not JSON');
      return read(json);
    },
  };
}

/**
 * Reads a session with its transcript, in memory that does not grow with the transcript: sessions that ran away have long
 * ones. `end` throws without a session, about another one than `askedId`, or without a list of messages: an absent one is not
 * an empty one, and would make the turn that runs look like another.
 */
export function sessionReader(askedId: string): BodyReader<Session> {
  let transcript = readTranscript();
  const messages = {
    kind: 'list',
    items: MESSAGE,
    onStart: () => (transcript = readTranscript()),
    onItem: (item: unknown) => transcript.add(readMessage(item)),
  } as const;
  const session = objectOf({ ...SESSION_FIELDS, messages });
  const body = extractJson(objectOf({ session, queue_position: VALUE }));
  return {
    write: (piece) => orUnreadable(() => body.write(piece)),
    end: () => {
      const json = orUnreadable(() => body.end());
      const { session: wire, queue_position } = aboutAsked(parsed(sessionAnswer, json, NO_SESSION), askedId);
      parsed(transcriptAnswer, json, 'it holds no list of messages');
      return toSession(wire, transcript.transcript(), queue_position);
    },
  };
}

const plainFieldsOf = ({ shape }: z.ZodObject): Readonly<Record<string, Wanted>> =>
  Object.fromEntries(Object.keys(shape).map((name) => [name, VALUE]));

const MESSAGE = objectOf(plainFieldsOf(messageWire));
/** All but the messages, which are taken one by one. */
const SESSION_FIELDS = {
  ...plainFieldsOf(sessionWire),
  usage: objectOf(plainFieldsOf(usageWire)),
  creator: objectOf(plainFieldsOf(creatorWire)),
};

/** What the tokenizer says may repeat what was sent, so it is not repeated. */
function orUnreadable<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new UnreadableAnswer('it is not whole JSON');
  }
}

/** @throws {UnreadableAnswer} without a session, or about another one than `askedId` */
export function readCancelAnswer(json: unknown, askedId: string): CancelAnswer {
  const { session } = aboutAsked(parsed(cancelAnswer, json, NO_SESSION), askedId);
  return { id: session.id, state: session.state };
}

/** An absent list is not an empty one. @throws {UnreadableAnswer} without a list, or with a cursor that can't be sent */
export function readSessionPage(json: unknown, pageSize?: number): SessionPage {
  const page = parsed(sessionListAnswer, json, 'it holds no list of sessions with a cursor');
  const { items, unreadable } = readable(page.sessions, sessionWire, pageSize);
  return {
    sessions: items.map((item) => toSession(item, NO_TRANSCRIPT, null)),
    nextCursor: page.next_cursor,
    unreadable,
  };
}

/** An absent list is not an empty one. @throws {UnreadableAnswer} without a list, or with a cursor that can't be sent */
export function readAgentPage(json: unknown, pageSize?: number): AgentPage {
  const page = parsed(agentListAnswer, json, 'it holds no list of agents with a cursor');
  const { items, unreadable } = readable(page.agents, agentWire, pageSize);
  return { agents: items.map(toAgent), nextCursor: page.next_cursor, unreadable };
}

/** An absent list is not an empty one. @throws {UnreadableAnswer} without a list, or with a cursor that can't be sent */
export function readTriggerPage(json: unknown, pageSize?: number): TriggerPage {
  const page = parsed(triggerListAnswer, json, 'it holds no list of triggers with a cursor');
  const { items } = readable(page.triggers, triggerWire, pageSize);
  const triggers = items.map(({ id, type, enabled, max_failures }) => ({
    id,
    type,
    enabled,
    maxFailures: max_failures,
  }));
  return { triggers, nextCursor: page.next_cursor };
}

/** An absent list is not an empty one. @throws {UnreadableAnswer} without a list, or with a cursor that can't be sent */
export function readTeamPage(json: unknown): TeamPage {
  const page = parsed(teamListAnswer, json, 'it holds no list of teams');
  const { items, unreadable } = readable(page.teams, teamWire, undefined);
  return { teams: items satisfies Team[], nextCursor: page.next_cursor, unreadable };
}

/** An absent list is not an empty one. @throws {UnreadableAnswer} without a list */
export function readQueue(json: unknown): QueuedMessage[] {
  const { queue } = parsed(queueAnswer, json, 'it holds no message queue');
  return readable(queue, queuedItem, undefined).items.map(({ id, state, position, created_at }) => ({
    ...{ id, state, position },
    createdAtMs: created_at,
  }));
}

const NO_SESSION = 'it holds no session with an id';

/** Never judge or record one session by the state of another, whatever proxy or cache mixed them up. */
function aboutAsked<T extends { readonly session: { readonly id: string } }>(envelope: T, askedId: string): T {
  if (envelope.session.id !== askedId) throw new UnreadableAnswer('it is about another session');
  return envelope;
}

function parsed<S extends z.ZodType>(schema: S, json: unknown, otherwise: string): z.output<S> {
  const result = schema.safeParse(json);
  if (!result.success) throw new UnreadableAnswer(otherwise);
  return result.data;
}

/**
 * One malformed item must not lose the page; nor may it be lost unnoticed.
 *
 * @param pageSize - items that were asked for; undefined: all
 * @throws {UnreadableAnswer} for a list that is far longer than was asked for
 */
function readable<S extends z.ZodType>(
  list: readonly unknown[],
  schema: S,
  pageSize: number | undefined,
): { items: z.output<S>[]; unreadable: number } {
  const { listItems, unpagedItems } = VENDOR_BOUNDS;
  const most = pageSize === undefined ? unpagedItems.most : listItems.most * pageSize;
  if (list.length > most) {
    const asked = pageSize === undefined ? '' : `, though ${pageSize} were asked for`;
    throw new UnreadableAnswer(`it holds more than ${most} items${asked}`);
  }
  const items: z.output<S>[] = [];
  for (const item of list) {
    const result = schema.safeParse(item);
    if (result.success) items.push(result.data);
  }
  return { items, unreadable: list.length - items.length };
}

const NO_TRANSCRIPT = transcriptOf([]);

function toSession(wire: z.output<typeof sessionWire>, transcript: Transcript, queuePosition: number | null): Session {
  return {
    id: wire.id,
    agentId: wire.agent_id,
    agentName: wire.agent_name,
    name: wire.name,
    type: wire.type,
    state: wire.state,
    createdAtMs: wire.created_at,
    transcript,
    usage: wire.usage == null ? null : toUsage(wire.usage),
    creatorId: wire.creator?.id ?? null,
    creatorEmail: wire.creator?.email ?? null,
    teamId: wire.agent_team_id,
    triggerId: wire.trigger_id,
    queuePosition,
  };
}

function toUsage(wire: z.output<typeof usageWire>): Usage {
  return {
    creditCost: wire.credit_cost,
    toolCreditCost: wire.tool_credit_cost,
    flowCreditCost: wire.flow_credit_cost,
    inputTokens: wire.input_tokens,
    cachedInputTokens: wire.cached_input_tokens,
    cacheWriteInputTokens: wire.cache_write_input_tokens,
    outputTokens: wire.output_tokens,
    reasoningTokens: wire.reasoning_tokens,
  };
}

function toAgent(wire: z.output<typeof agentWire>): Agent {
  return {
    id: wire.id,
    name: wire.name,
    teamId: wire.team_id,
    creatorId: wire.creator?.id ?? null,
    isActive: wire.is_active,
  };
}

/** In the form in which it is stored, so that it is compared in no other; null: nothing is left. */
const kept = (value: string, most: number): string | null => shortened(storableText(value), most) || null;

/** Most texts need not be measured: a unit of UTF-16 has at most three bytes. */
const bytesWithin = (value: string, most: number): boolean =>
  value.length * 3 <= most || (value.length <= most && Buffer.byteLength(value) <= most);

/**
 * Stands for the id of a message that can't be kept as it is. A turn is known by it, and two turns must never become one: so the
 * digest is of every unit, halves of surrogate pairs included.
 */
const digestOf = (value: string): string => `sha256:${createHash('sha256').update(value, 'utf16le').digest('hex')}`;

function readMessage(value: unknown): MessageHead {
  const message = messageWire.safeParse(value).data;
  return { id: message?.id ?? null, role: message?.role ?? null, createdAtMs: message?.created_at ?? null };
}

/**
 * A count or a cost: a number, or the decimal text that some JSON writers make of exact decimals.
 *
 * @returns null for everything that cannot be one: negative, not finite or beyond exact counting, other text
 */
function parseAmount(value: unknown): number | null {
  const number = typeof value === 'number' ? value : typeof value === 'string' ? decimalOf(value) : NaN;
  return number >= 0 && number <= VENDOR_BOUNDS.amount.most ? number : null;
}

function decimalOf(value: string): number {
  if (value.length > VENDOR_BOUNDS.scalar.most) return NaN;
  return /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : NaN;
}
