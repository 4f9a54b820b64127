import type { BulkProfile } from '../../core/contract.js';
import { iso } from '../../core/times.js';
import type { TargetAbout } from './judge-page.js';

const CREATORS_SHOWN = 20;

export interface ProfileBuilder {
  add(targets: readonly { readonly about: TargetAbout }[]): void;
  /** Null: nothing was added. */
  built(): BulkProfile | null;
}

/** Adds up who and what a plan is about, as it was seen while its targets were found. */
export function createProfile(): ProfileBuilder {
  const created = createRange();
  const turns = createRange();
  const creators = new Map<string | null, number>();
  let [targets, creditsKnown, credits] = [0, 0, 0];
  return {
    add(some) {
      for (const { about } of some) {
        targets += 1;
        created.add(about.createdAtMs);
        turns.add(about.turnStartedAtMs);
        creators.set(about.creator, (creators.get(about.creator) ?? 0) + 1);
        if (about.credits === null) continue;
        creditsKnown += 1;
        credits += about.credits;
      }
    },
    built: () =>
      targets === 0
        ? null
        : {
            sessionsCreated: created.built(),
            turnsBegun: turns.built(),
            credits: { known: creditsKnown, sum: credits },
            creators: creators.size - (creators.has(null) ? 1 : 0),
            byCreator: [...creators]
              .sort(([, a], [, b]) => b - a)
              .slice(0, CREATORS_SHOWN)
              .map(([creator, count]) => ({ creator, targets: count })),
          },
  };
}

function createRange(): { add(ms: number | null): void; built(): BulkProfile['turnsBegun'] } {
  let [known, first, last] = [0, Infinity, -Infinity];
  return {
    add(ms) {
      if (ms === null) return;
      known += 1;
      first = Math.min(first, ms);
      last = Math.max(last, ms);
    },
    built: () => ({ known, first: known === 0 ? null : iso(first), last: known === 0 ? null : iso(last) }),
  };
}
