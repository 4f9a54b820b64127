import { sql, type Kysely, type Selectable, type Transaction } from 'kysely';
import { ExitCode, UserError } from '../../core/errors.js';
import type { PolicyFile, PolicyMode } from '../../core/policy/policy.js';
import { dialectOf } from './dialect.js';
import { recordEvents } from './events.js';
import { replaceFileExemptions } from './exemptions.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase, PolicyVersionsTable } from './schema.js';

/**
 * Number of the form of a policy file as it is stored. A worker that finds a higher one refuses to enforce: it could
 * overlook a condition that it does not know, and match wider than was meant.
 */
export const POLICY_SCHEMA = 1;

/** Further back nobody remembers what a policy said. */
const LAST_VERSIONS = 100;

/** That a policy file was put in force, and by whom. */
interface VersionHead {
  /** From 1; each change of the file is one more. */
  readonly version: number;
  /** Ledger's clock, ms since the Unix epoch. */
  readonly appliedAtMs: number;
  /** Claimed, not authenticated. */
  readonly appliedBy: string;
  readonly fileName: string;
}

/** A policy file as it was put in force. */
interface PolicyVersion extends VersionHead {
  /** As it was written, without a byte order mark. */
  readonly sourceText: string;
  readonly file: PolicyFile;
}

/** A version whose form this program may not know: then its text is all there is. */
export interface StoredVersion extends VersionHead {
  readonly sourceText: string;
  /** Null: a newer Curfew wrote it. */
  readonly file: PolicyFile | null;
}

/** A version without its text. */
export interface ListedVersion extends VersionHead {
  /** Null: a newer Curfew wrote it. */
  readonly policies: readonly { readonly name: string; readonly mode: PolicyMode }[] | null;
  readonly cleanups: number | null;
}

/** What is in force: nothing yet, a version, or one that this program is too old for. */
export type PoliciesInForce =
  | { readonly kind: 'none' }
  | { readonly kind: 'known'; readonly inForce: PolicyVersion }
  | { readonly kind: 'too-new'; readonly version: number; readonly schema: number };

export interface PolicyApplication {
  readonly file: PolicyFile;
  readonly fileName: string;
  readonly sourceText: string;
  readonly by: string;
}

export const createPolicies = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  async inForce(): Promise<PoliciesInForce> {
    const row = await db
      .selectFrom('policy_versions')
      .selectAll()
      .orderBy('version', 'desc')
      .limit(1)
      .executeTakeFirst();
    if (row === undefined) return { kind: 'none' };
    const { file, ...stored } = toVersion(row);
    if (file === null) return { kind: 'too-new', version: row.version, schema: row.schema };
    return { kind: 'known', inForce: { ...stored, file } };
  },

  /** One version, whether it is in force or was. @returns null: there is none of this number */
  async get(version: number): Promise<StoredVersion | null> {
    const row = await db.selectFrom('policy_versions').selectAll().where('version', '=', version).executeTakeFirst();
    return row === undefined ? null : toVersion(row);
  },

  /** The last so many versions, newest first: the first one is in force. None is ever removed, so their numbers have no gaps. */
  async list(limit: number): Promise<ListedVersion[]> {
    const versions = await db
      .selectFrom('policy_versions')
      .select('version')
      .orderBy('version', 'desc')
      .limit(limit)
      .execute();
    const listed: ListedVersion[] = [];
    // One at a time: a file may have a million characters.
    for (const { version } of versions) {
      const row = await db
        .selectFrom('policy_versions')
        .select(['version', 'schema', 'applied_at', 'applied_by', 'file_name', 'file_json'])
        .where('version', '=', version)
        .executeTakeFirst();
      if (row === undefined) continue;
      const file = fileOf(row);
      listed.push({
        ...headOf(row),
        policies: file === null ? null : file.policies.map(({ name, mode }) => ({ name, mode })),
        cleanups: file === null ? null : file.cleanup.length,
      });
    }
    return listed;
  },

  /** Number of the version in force; null: none. Cheap: asked before every scan. */
  async version(): Promise<number | null> {
    const row = await db
      .selectFrom('policy_versions')
      .select(({ fn }) => fn.max<number | null>('version').as('version'))
      .executeTakeFirst();
    return row?.version == null ? null : Number(row.version);
  },

  /**
   * Puts a policy file in force, with its exemptions. The same content again changes nothing.
   *
   * @returns the version, and whether it is a new one
   */
  async apply({
    file,
    fileName,
    sourceText,
    by,
  }: PolicyApplication): Promise<{ readonly version: number; readonly changed: boolean }> {
    const nowMs = await now(db);
    const fileJson = JSON.stringify(file);
    return db.transaction().execute(async (trx) => {
      await lockVersions(trx);
      const last = await trx
        .selectFrom('policy_versions')
        .select(['version', 'file_json', 'schema'])
        .orderBy('version', 'desc')
        .limit(1)
        .executeTakeFirst();
      if (last !== undefined && last.file_json === fileJson && last.schema === POLICY_SCHEMA)
        return { version: last.version, changed: false };

      const version = (last?.version ?? 0) + 1;
      await trx
        .insertInto('policy_versions')
        .values({
          version,
          schema: POLICY_SCHEMA,
          applied_at: nowMs,
          applied_by: by,
          file_name: fileName,
          source_text: sourceText,
          file_json: fileJson,
        })
        .execute();
      await replaceFileExemptions(trx, file.exempt, nowMs);
      await recordEvents(trx, [{ kind: 'policy-applied', at: nowMs, data: { version, file: fileName, by } }]);
      return { version, changed: true };
    });
  },

  /** In which modes each policy has been in force so far, by name. Looks at the last 100 versions. */
  async modesSoFar(): Promise<Map<string, Set<PolicyMode>>> {
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
  },
});

type VersionRow = Selectable<PolicyVersionsTable>;

const toVersion = (row: VersionRow): StoredVersion => ({
  ...headOf(row),
  sourceText: row.source_text,
  file: fileOf(row),
});

const headOf = (row: Omit<VersionRow, 'source_text'>): VersionHead => ({
  version: row.version,
  appliedAtMs: row.applied_at,
  appliedBy: row.applied_by,
  fileName: row.file_name,
});

const fileOf = ({ schema, file_json: json }: Pick<VersionRow, 'schema' | 'file_json'>): PolicyFile | null =>
  schema > POLICY_SCHEMA ? null : (JSON.parse(json) as PolicyFile);

/** @throws UserError with exit code 3 when a newer Curfew's file is in force: what this one would end with it is not known */
export function refuseToReplaceNewer(inForce: PoliciesInForce): void {
  if (inForce.kind !== 'too-new') return;
  throw new UserError(
    `A newer Curfew put version ${inForce.version} of the policies in force, in a form that this one does not know. Nothing was changed.`,
    'Use that version of Curfew, or a later one.',
    ExitCode.refused,
  );
}

/**
 * Two appliers take turns; readers don't wait. On SQLite every transaction is alone.
 *
 * It must be a lock that nobody else waits for while holding a session, as requests do with the pause switch: we take
 * sessions after it.
 */
async function lockVersions(trx: Transaction<LedgerDatabase>): Promise<void> {
  if (dialectOf(trx) === 'sqlite') return;
  await sql`lock table policy_versions in share row exclusive mode`.execute(trx);
}
