import * as z from 'zod';
import type { Ledger } from '../ledger/ledger.js';

/** Something in Temporal that stands under an id of ours, and isn't ours or does not work: in words for people. */
export interface Stranger {
  /** Workflow id, or that of a Schedule. */
  readonly id: string;
  readonly says: string;
  /** What mends it, with a command. */
  readonly next: string;
}

/** Under these keys, each with its id, the ledger's meta has word of them. */
export const STRANGERS = 'stranger/';
/** Word that no worker has renewed for so long says nothing any more, ms. */
const STALE_MS = 60_000;

const noted = z.object({ says: z.string(), next: z.string(), seenAtMs: z.number() });
type Note = z.output<typeof noted>;

export const noteOf = (note: Note): string => JSON.stringify(note);

/** @returns null for word that is old */
export function readStrangerNote(value: string, nowMs: number): Note | null {
  const note = noted.parse(JSON.parse(value));
  return Math.abs(nowMs - note.seenAtMs) > STALE_MS ? null : note;
}

/** What workers have found, as the ledger has it. */
export async function readStrangers(ledger: Pick<Ledger, 'meta' | 'now'>): Promise<Stranger[]> {
  const [notes, nowMs] = [await ledger.meta.under(STRANGERS), await ledger.now()];
  return notes.flatMap(({ key, value }) => {
    const note = readStrangerNote(value, nowMs);
    return note === null ? [] : [{ id: key.slice(STRANGERS.length), says: note.says, next: note.next }];
  });
}
