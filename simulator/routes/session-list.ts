import * as z from 'zod';
import { comparePlaces, decodeCursor, encodeCursor, page, type Place, type Sorted } from '../cursor.js';
import { badRequest } from '../errors.js';
import { usageAt } from '../look.js';
import type { SessionRecord } from '../session.js';
import { summaryOnWire } from '../wire.js';
import type { World } from '../world.js';
import { pageSize } from './input.js';

export const sessionListQuery = z.object({
  page_size: pageSize.default(20),
  cursor: z.string().optional(),
  search: z.string().optional(),
  search_query: z.string().optional(),
  // An open set at the vendor: an unknown name falls back to the default.
  sort_order: z.string().default('newest'),
  type: z.string().optional(),
  // As documented: not approval_required.
  state: z.enum(['processing', 'completed', 'failed', 'queued', 'idle']).optional(),
  creator_user_id: z.string().optional(),
  trigger_id: z.string().optional(),
});
type Query = z.output<typeof sessionListQuery>;

interface Sort {
  readonly name: string;
  readonly descending: boolean;
  readonly placeOf: (session: SessionRecord) => Place;
}

/** One page of an agent's sessions. */
export function listSessions(world: World, agentId: string, query: Query, now: number) {
  const agent = world.agent(agentId);
  const sort = sortOf(query.sort_order, now);
  const { items, more } = page(sorted(world.sessionsOf(agentId), sort), {
    descending: sort.descending,
    after: query.cursor === undefined ? undefined : placeAfter(query.cursor, sort.name),
    size: query.page_size,
    wanted: (session) => isWanted(world, session, query, now),
  });
  const last = items.at(-1);
  return {
    sessions: items.map((session) => summaryOnWire(session, agent, world.look(session, now))),
    next_cursor: more && last !== undefined ? encodeCursor(sort.placeOf(last), sort.name) : null,
  };
}

function sortOf(name: string, now: number): Sort {
  switch (name) {
    case 'oldest':
      return { name, descending: false, placeOf: byCreation };
    case 'name_asc':
      return { name, descending: false, placeOf: (session) => ({ value: session.name, id: session.id }) };
    case 'credits_desc':
      return {
        name,
        descending: true,
        placeOf: (session) => ({ value: usageAt(session, now)?.credits ?? 0, id: session.id }),
      };
    default:
      return { name: 'newest', descending: true, placeOf: byCreation };
  }
}

const byCreation = (session: SessionRecord): Place => ({ value: session.createdAt, id: session.id });

// The world keeps sessions in the order of creation; only the rare sorts pay for sorting.
function sorted(sessions: readonly SessionRecord[], { placeOf }: Sort): Sorted<SessionRecord> {
  if (placeOf === byCreation) return { items: sessions, placeOf };
  return { items: sessions.toSorted((a, b) => comparePlaces(placeOf(a), placeOf(b))), placeOf };
}

function placeAfter(cursor: string, sort: string): Place {
  const place = decodeCursor(cursor, sort);
  if (place === undefined) throw badRequest('invalid_cursor', 'The cursor is not one of this listing.');
  return place;
}

function isWanted(world: World, session: SessionRecord, query: Query, now: number): boolean {
  return (
    (query.state === undefined || world.look(session, now).state === query.state) &&
    (query.type === undefined || session.type === query.type) &&
    (query.creator_user_id === undefined || session.creatorUserId === query.creator_user_id) &&
    (query.trigger_id === undefined || session.triggerId === query.trigger_id) &&
    mentions(session, query.search ?? query.search_query)
  );
}

function mentions(session: SessionRecord, search: string | undefined): boolean {
  if (search === undefined) return true;
  const wanted = search.toLowerCase();
  return (
    session.name.toLowerCase().includes(wanted) ||
    session.messages.some((message) => message.text.toLowerCase().includes(wanted))
  );
}
