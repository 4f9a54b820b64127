import type { OrderError, OrderRefusal } from '../../core/contract.js';
import type { Refusal } from '../../core/policy/refusals.js';

/*
 * What was refused for a session stands with the last error of its orders: it lasts as long as they do, and outlives a crash.
 */

/** @param json - `last_error_json` of an order */
export const refusalsIn = (json: string | null): readonly Refusal[] =>
  refusalsOf(json === null ? null : (JSON.parse(json) as OrderError));

export function refusalsOf(lastError: OrderError | null): readonly Refusal[] {
  return (lastError?.refused ?? []).map(({ on, status, code, times, since, last, alone }) => ({
    ...{ on, status, code, times },
    ...(alone === undefined ? {} : { alone }),
    sinceMs: Date.parse(since),
    lastMs: Date.parse(last),
  }));
}

/** An error as it is stored, with what was refused so far. */
export function errorWith(error: OrderError, refusals: readonly Refusal[]): string {
  const { type, message, at } = error;
  return JSON.stringify({ type, message, at, ...(refusals.length === 0 ? {} : { refused: refusals.map(shown) }) });
}

const shown = ({ on, status, code, times, sinceMs, lastMs, alone }: Refusal): OrderRefusal => ({
  ...{ on, status, code, times },
  ...(alone === undefined ? {} : { alone }),
  since: new Date(sinceMs).toISOString(),
  last: new Date(lastMs).toISOString(),
});
