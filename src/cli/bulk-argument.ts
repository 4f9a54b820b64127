import { ExitCode, UserError } from '../core/errors.js';
import type { BulkJob } from '../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../adapters/ledger/ledger.js';

/** Jobs among which the beginning of an id is looked for. */
const LOOKED_AT = 1_000;
const NAMED = 5;

/**
 * The plan or job that a person means: by its id, or by a beginning that no other one shares.
 *
 * @throws UserError with exit code 2 that names the newest plans, or those that share the beginning
 */
export async function findJob(ledger: Pick<Ledger, 'bulk'>, text: string): Promise<BulkJob> {
  const exact = text === '' ? null : await ledger.bulk.get(text);
  if (exact !== null) return exact;
  const newest = await ledger.bulk.list({ limit: LOOKED_AT });
  const matching = text === '' ? [] : newest.filter(({ planId }) => planId.startsWith(text));
  const [only, ...more] = matching;
  if (only !== undefined && more.length === 0) return only;
  const shown = JSON.stringify(text.slice(0, 80));
  if (only !== undefined) {
    throw new UserError(
      `${shown} is the beginning of ${matching.length} plans: ${names(matching)}. Nothing was done.`,
      'Give more of the id.',
      ExitCode.usage,
    );
  }
  throw new UserError(
    newest.length === 0
      ? `There is no bulk plan ${shown}; the ledger has none at all. Nothing was done.`
      : `There is no bulk plan ${shown}. The newest: ${names(newest)}. Nothing was done.`,
    newest.length === 0
      ? 'Make one: curfew bulk plan --help shows how.'
      : '`curfew bulk status` shows more of them; a plan that was not applied is removed a day after it expires.',
    ExitCode.usage,
  );
}

const names = (jobs: readonly BulkJob[]): string =>
  `${jobs
    .slice(0, NAMED)
    .map(({ planId, state }) => `${planId} (${state})`)
    .join(', ')}${jobs.length > NAMED ? ', …' : ''}`;
