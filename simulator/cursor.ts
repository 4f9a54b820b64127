import * as z from 'zod';

/** Place of an item in a sorted list: what it is sorted by, then its id, which breaks ties. */
export interface Place {
  readonly value: string | number;
  readonly id: string;
}

const cursorSchema = z.tuple([z.union([z.string(), z.number()]), z.string(), z.string()]);

/** Clients are to treat a cursor as opaque. It names the last item sent and the sort, so inserts shift no page. */
export function encodeCursor(place: Place, sort: string): string {
  return Buffer.from(JSON.stringify([place.value, place.id, sort])).toString('base64url');
}

/** @returns the place; undefined when this is no cursor of ours, or one of another sort */
export function decodeCursor(cursor: string, sort: string): Place | undefined {
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = cursorSchema.safeParse(content);
  return parsed.success && parsed.data[2] === sort ? { value: parsed.data[0], id: parsed.data[1] } : undefined;
}

export function comparePlaces(a: Place, b: Place): number {
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}

/** A list that is kept in ascending order of place. */
export interface Sorted<T> {
  readonly items: readonly T[];
  readonly placeOf: (item: T) => Place;
}

export interface PageRequest<T> {
  readonly descending: boolean;
  /** Last item of the page before. */
  readonly after: Place | undefined;
  readonly size: number;
  readonly wanted: (item: T) => boolean;
}

/** @returns up to `size` wanted items behind `after`, and whether more follow */
export function page<T>({ items, placeOf }: Sorted<T>, request: PageRequest<T>): { items: T[]; more: boolean } {
  const step = request.descending ? -1 : 1;
  const found: T[] = [];
  for (let i = firstIndex({ items, placeOf }, request); i >= 0 && i < items.length; i += step) {
    const item = items[i];
    if (item === undefined || !request.wanted(item)) continue;
    if (found.length === request.size) return { items: found, more: true };
    found.push(item);
  }
  return { items: found, more: false };
}

function firstIndex<T>(sorted: Sorted<T>, { descending, after }: PageRequest<T>): number {
  if (after === undefined) return descending ? sorted.items.length - 1 : 0;
  // Descending: the last item before `after`. Ascending: the first one behind it.
  return descending
    ? lowerBound(sorted, (place) => comparePlaces(place, after) >= 0) - 1
    : lowerBound(sorted, (place) => comparePlaces(place, after) > 0);
}

/** Index of the first item for which `isBehind` holds; items are ordered so that it never stops holding. */
function lowerBound<T>({ items, placeOf }: Sorted<T>, isBehind: (place: Place) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && isBehind(placeOf(item))) high = middle;
    else low = middle + 1;
  }
  return low;
}
