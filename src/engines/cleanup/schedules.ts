import { ScheduleAlreadyRunning, ScheduleNotFoundError, type Client, type ScheduleClient } from '@temporalio/client';
import pMap from 'p-map';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../core/policy/policy.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { createOwnIds, type LookAtId, type OwnIds } from '../../adapters/temporal/own-ids.js';
import { findSchedule, type OurSchedule } from './found-schedule.js';
import { strangeSchedule } from './strange-schedule.js';
import { causeOfRefusal, noteRefusals, type FoundRefusal } from './refusals.js';
import { currentKeyId, rewriteSchedule } from './rewrite-schedule.js';
import { cleanupOfSchedule, MARK, scheduleOf, type CleanupSchedule } from './schedule.js';
import { forgetSkips, tellSkips } from './skips.js';

/** How often it is looked whether other policies are in force, ms. */
const LOOK_MS = 2_000;
/** How often the Schedules are looked at all the same, ms: somebody may have deleted one, or Temporal lost its data. */
const SYNC_MS = 60_000;
/** A Temporal that does not answer by then is tried again at the next look, ms. */
const SYNC_LIMIT_MS = 30_000;
const AT_ONCE = 4;

/**
 * Keeps a Temporal Schedule for each cleanup of the policies in force. Every worker does so; doing it twice changes nothing.
 * Runs until the signal.
 */
export function keepSchedules(
  ledger: Ledger,
  client: Client,
  log: Logger,
  signal: AbortSignal,
  ids: OwnIds = createOwnIds(client),
): Promise<void> {
  let syncedVersion: number | null = null;
  let syncedAt = 0;
  const strangers = new Set<string>();
  const pass = async (): Promise<void> => {
    const version = await ledger.policies.version();
    if (version === null || (version === syncedVersion && performance.now() - syncedAt < SYNC_MS)) return;
    // Until this one has worked, the next look tries again.
    syncedVersion = null;
    const policies = await ledger.policies.inForce();
    // What a newer Curfew's file asks for, a newer Curfew's workers see to.
    if (policies.kind === 'known') {
      const { cleanup } = policies.inForce.file;
      await client.withDeadline(Date.now() + SYNC_LIMIT_MS, () =>
        client.withAbortSignal(signal, () => syncSchedules(ledger, client, log, cleanup, strangers, ids.found)),
      );
    }
    syncedVersion = version;
    syncedAt = performance.now();
  };
  return keep('bring the Schedules of the cleanups up to date', LOOK_MS, pass, { log, signal });
}

/**
 * Creates, changes and removes Schedules until they are as the entries say, with all that their runs need under the key that
 * encrypts now, and tells of runs that were skipped and of Schedules that Temporal refuses. Each cleanup is seen to for
 * itself: one that fails keeps no other from being created, changed or removed.
 *
 * @param strangers - ids of Schedules that are in the way and not ours, so that each is told once
 * @param onStranger - gets each of them
 * @throws what failed, when all else is done. A refusal of Temporal's is no failure: trying again would not change it
 */
export async function syncSchedules(
  ledger: Pick<Ledger, 'meta' | 'now'>,
  client: Pick<Client, 'schedule'>,
  log: Logger,
  entries: readonly CleanupEntry[],
  strangers: Set<string>,
  onStranger: OwnIds['found'] = () => {},
): Promise<void> {
  const schedules = client.schedule;
  const keyId = await currentKeyId(schedules);
  const look: Look = { ledger, schedules, log, strangers, onStranger, keyId };
  const refused = new Map<string, FoundRefusal>();
  const failed = new Map<string, unknown>();
  await pMap(
    entries,
    async (entry) => {
      try {
        const refusal = await ensureSchedule(look, entry);
        if (refusal !== null) refused.set(entry.name, refusal);
      } catch (error) {
        failed.set(entry.name, error);
      }
    },
    { concurrency: AT_ONCE },
  );
  await noteRefusals(ledger, log, refused, new Set(failed.keys()));
  const wanted = new Set(entries.map(({ name }) => name));
  // The list lags a little behind: what it does not show yet is removed a minute later.
  for (const scheduleId of await markedSchedules(schedules)) {
    const name = cleanupOfSchedule(scheduleId);
    if (name === null || wanted.has(name)) continue;
    await removeSchedule(look, scheduleId, name).catch((error: unknown) => failed.set(name, error));
  }
  if (failed.size > 0) throw new AggregateError(failed.values(), [...failed].map(failureText).join('; '));
}

const failureText = ([name, error]: readonly [string, unknown]): string =>
  `${name}: ${error instanceof Error ? error.message : String(error)}`;

interface Look {
  readonly ledger: Pick<Ledger, 'meta'>;
  readonly schedules: ScheduleClient;
  readonly log: Logger;
  readonly strangers: Set<string>;
  readonly onStranger: OwnIds['found'];
  /** The key that encrypts now; null: payloads are not encrypted. */
  readonly keyId: string | null;
}

/** @returns null: it is as the entry says, or not ours to change */
async function ensureSchedule(look: Look, entry: CleanupEntry): Promise<FoundRefusal | null> {
  const { ledger, schedules, log, strangers, onStranger, keyId } = look;
  const { name } = entry;
  const wanted = scheduleOf(entry);
  const found = await findSchedule(schedules, wanted.scheduleId);
  if (found.kind === 'missing') {
    const created = (): void => log.info({ cleanup: name, ...entry.schedule }, 'scheduled a cleanup');
    return refusalOf(() => create(schedules, wanted, created), wanted, false);
  }
  if (found.kind === 'foreign') {
    const again: LookAtId = async () =>
      (await findSchedule(schedules, wanted.scheduleId)).kind === 'foreign' ? stranger : null;
    const stranger = strangeSchedule(name, schedules.options.namespace);
    onStranger(stranger, again);
    if (!strangers.has(name)) {
      log.error(
        { scheduleId: wanted.scheduleId },
        'Temporal has a Schedule of this name that Curfew did not make, so this cleanup does not run: delete that one, or rename the cleanup',
      );
    }
    strangers.add(name);
    return null;
  }
  strangers.delete(name);
  await tellSkips(ledger, log, name, found);
  const change = changeOf(found, wanted, keyId);
  if (change === null) return null;
  return refusalOf(
    async () => {
      await rewriteSchedule(schedules, wanted, found.stored);
      change(log, entry);
    },
    wanted,
    true,
  );
}

async function refusalOf(
  write: () => Promise<void>,
  { action }: CleanupSchedule,
  earlierStands: boolean,
): Promise<FoundRefusal | null> {
  try {
    await write();
    return null;
  } catch (error) {
    const cause = causeOfRefusal(error);
    if (cause === null) throw error;
    return { cause, earlierStands, fingerprint: action.memo.fingerprint };
  }
}

async function removeSchedule({ ledger, schedules, log }: Look, scheduleId: string, name: string): Promise<void> {
  const found = await findSchedule(schedules, scheduleId);
  if (found.kind === 'foreign') return;
  if (found.kind === 'ours' && (await removed(schedules, scheduleId))) {
    log.info({ cleanup: name }, 'removed the Schedule of a cleanup that is not in force any more');
  }
  await forgetSkips(ledger, name);
}

/**
 * @returns how a change that is needed is told; null: none is
 * @throws {UserError} when it is encrypted and no keys are configured here: a worker that lacks them by mistake must not undo
 *   the encryption of the others
 */
function changeOf(
  { unreadable, fingerprint, keyIds }: OurSchedule,
  wanted: CleanupSchedule,
  keyId: string | null,
): ((log: Logger, entry: CleanupEntry) => void) | null {
  if (unreadable !== null) {
    if (keyId === null) throw unreadable;
    return (log, { name }) =>
      log.warn(
        { cleanup: name, keyIds, keyId },
        `the Schedule of a cleanup could not be read, and was written again under the current key: ${unreadable.message} A run that it started before may need the old key, and delays the next one: add that key again, or terminate the run`,
      );
  }
  if (fingerprint !== wanted.action.memo.fingerprint) {
    return (log, { name, schedule }) => log.info({ cleanup: name, ...schedule }, 'changed the Schedule of a cleanup');
  }
  if (keyId === null || keyIds.every((id) => id === keyId)) return null;
  return (log, { name }) =>
    log.info({ cleanup: name, keyIds, keyId }, 'encrypted the Schedule of a cleanup again, under the current key');
}

/** Another worker may have been quicker. */
async function create(schedules: ScheduleClient, wanted: CleanupSchedule, onCreated: () => void): Promise<void> {
  try {
    await schedules.create(wanted);
    onCreated();
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}

/** Ids of all Schedules whose memo has our mark, as far as its name goes. The SDK's own list decodes every memo, or fails. */
async function markedSchedules({ workflowService, options: { namespace } }: ScheduleClient): Promise<string[]> {
  const ids: string[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const page = await workflowService.listSchedules({ namespace, ...(nextPageToken && { nextPageToken }) });
    for (const { scheduleId, memo } of page.schedules) {
      if (scheduleId && memo?.fields?.[MARK.field] != null) ids.push(scheduleId);
    }
    ({ nextPageToken } = page);
  } while (nextPageToken.length > 0);
  return ids;
}

/** @returns false when there is no such Schedule any more */
async function removed(schedules: ScheduleClient, scheduleId: string): Promise<boolean> {
  try {
    await schedules.getHandle(scheduleId).delete();
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}
