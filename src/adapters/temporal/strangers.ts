import type { Client } from '@temporalio/client';
import type { Ledger } from '../ledger/ledger.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { createOwnIds, type LookAtId, type OwnIds } from './own-ids.js';
import { noteOf, readStrangerNote, STRANGERS, type Stranger } from './stranger-notes.js';

/** How often what was found is looked at again, ms. */
const EVERY_MS = 5_000;
/** More than these are not remembered: whoever takes so many ids is told of them, and the rest is found when they are gone. */
const MOST = 50;

/** What a worker has found under ids of Curfew, until it is gone. */
export interface Strangers {
  /** For whatever starts workflows: what it finds is remembered here. */
  readonly ids: OwnIds;
  found(): readonly Stranger[];
  /** Runs until the signal. */
  keep(ledger: Pick<Ledger, 'meta' | 'now'>, signal: AbortSignal, everyMs?: number): Promise<void>;
}

/** Says at once in the log what is found, and leaves word in the ledger for whoever asks there. */
export function createStrangers(client: Client, log: Logger): Strangers {
  const known = new Map<string, { readonly stranger: Stranger; readonly again: LookAtId }>();
  const found: OwnIds['found'] = (stranger, again) => {
    const { id, says, next } = stranger;
    if (!known.has(id)) {
      if (known.size >= MOST) return;
      log.error({ id }, `${says} ${next}`);
    }
    known.set(id, { stranger, again });
  };

  const lookAgain = async (ledger: Pick<Ledger, 'meta' | 'now'>): Promise<void> => {
    for (const [id, { again }] of known) {
      // Temporal that can't be asked says nothing.
      const stranger = await again().catch(() => undefined);
      if (stranger === null) {
        known.delete(id);
        await ledger.meta.drop(`${STRANGERS}${id}`);
        log.info({ id }, 'what used one of Curfew’s ids is gone');
      } else if (stranger !== undefined) known.set(id, { stranger, again });
    }
    const seenAtMs = await ledger.now();
    for (const { stranger } of known.values()) {
      const { id, says, next } = stranger;
      await ledger.meta.replace(`${STRANGERS}${id}`, noteOf({ says, next, seenAtMs }));
    }
    // Of workers that have ended since.
    for (const { key, value } of await ledger.meta.under(STRANGERS)) {
      if (readStrangerNote(value, seenAtMs) === null) await ledger.meta.drop(key);
    }
  };

  return {
    ids: createOwnIds(client, found),
    found: () => [...known.values()].map(({ stranger }) => stranger),
    keep: (ledger, signal, everyMs = EVERY_MS) =>
      keep('record what uses Curfew’s ids', everyMs, () => lookAgain(ledger), { log, signal }),
  };
}

/** For answers that hold no ids of sessions. */
export function unreadyBecauseOf(strangers: readonly Stranger[]): string | null {
  const [first] = strangers;
  if (first === undefined) return null;
  const slash = first.id.indexOf('/');
  const name = slash < 0 ? first.id : `${first.id.slice(0, slash)}/…`;
  const more = strangers.length === 1 ? '' : ` and ${strangers.length - 1} more`;
  return `Temporal: something else uses one of Curfew’s ids (${name}${more}); see curfew doctor`;
}
