import type { Kysely } from 'kysely';
import type { PolicyFile, PolicyMode } from '../../core/policy/policy.js';
import { windowStart } from './breakers.js';
import { POLICY_SCHEMA } from './policy-versions.js';
import type { LedgerDatabase } from './schema.js';

/** Further back nobody remembers what a policy said. */
const LAST_VERSIONS = 100;

/** In which modes each policy has been in force so far, by name. Looks at the last 100 versions. */
export async function modesSoFar(db: Kysely<LedgerDatabase>): Promise<Map<string, Set<PolicyMode>>> {
  const modes = new Map<string, Set<PolicyMode>>();
  const versions = await db
    .selectFrom('policy_versions')
    .select('version')
    .where('schema', '<=', POLICY_SCHEMA)
    .orderBy('version', 'desc')
    .limit(LAST_VERSIONS)
    .execute();
  // One at a time: a file may have a million characters.
  for (const { version } of versions) {
    const row = await db
      .selectFrom('policy_versions')
      .select('file_json')
      .where('version', '=', version)
      .executeTakeFirst();
    if (row === undefined) continue;
    for (const { name, mode } of (JSON.parse(row.file_json) as PolicyFile).policies) {
      modes.set(name, (modes.get(name) ?? new Set()).add(mode));
    }
  }
  return modes;
}

/** Permits of a policy that count at this moment. */
export async function permitsTaken(
  db: Kysely<LedgerDatabase>,
  policy: string,
  perMs: number,
  nowMs: number,
): Promise<number> {
  const breaker = await db.selectFrom('breakers').select('closed_at').where('policy', '=', policy).executeTakeFirst();
  const { taken } = await db
    .selectFrom('permits')
    .select(({ fn }) => fn.countAll<number>().as('taken'))
    .where('policy', '=', policy)
    .where('taken_at', '>', windowStart({ perMs }, breaker?.closed_at ?? null, nowMs))
    .executeTakeFirstOrThrow();
  return Number(taken);
}
