import { setTimeout as sleep } from 'node:timers/promises';
import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  type Client,
  type ScheduleDescription,
} from '@temporalio/client';
import pMap from 'p-map';
import type { Ledger } from '../ledger/ledger.js';
import type { CleanupEntry } from '../policy/policy.js';
import type { Logger } from '../telemetry.js';
import { cleanupOfSchedule, fingerprintOf, isOurs, scheduleOf } from './schedule.js';
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
 * Runs until the signal. What fails is tried again.
 */
export async function keepSchedules(ledger: Ledger, client: Client, log: Logger, signal: AbortSignal): Promise<void> {
  let syncedVersion: number | null = null;
  let syncedAt = 0;
  let failing = false;
  const strangers = new Set<string>();
  while (!signal.aborted) {
    try {
      const version = await ledger.policies.version();
      if (version !== null && (version !== syncedVersion || performance.now() - syncedAt >= SYNC_MS)) {
        const policies = await ledger.policies.inForce();
        // What a newer Curfew's file asks for, a newer Curfew's workers see to.
        if (policies.kind === 'known') {
          const { cleanup } = policies.inForce.file;
          await client.withDeadline(Date.now() + SYNC_LIMIT_MS, () =>
            client.withAbortSignal(signal, () => syncSchedules(ledger, client, log, cleanup, strangers)),
          );
        }
        syncedVersion = version;
        syncedAt = performance.now();
      }
      failing = false;
    } catch (error) {
      if (!failing && !signal.aborted) {
        log.warn({ err: error }, 'could not bring the Schedules of the cleanups up to date; trying again');
      }
      failing = true;
      syncedVersion = null;
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * Creates, changes and removes Schedules until they are as the entries say, and tells of runs that were skipped.
 *
 * @param strangers - ids of Schedules that are in the way and not ours, so that each is told once
 */
export async function syncSchedules(
  ledger: Pick<Ledger, 'meta'>,
  client: Client,
  log: Logger,
  entries: readonly CleanupEntry[],
  strangers: Set<string>,
): Promise<void> {
  await pMap(entries, (entry) => ensureSchedule(ledger, client, log, entry, strangers), {
    concurrency: AT_ONCE,
    // One that can't be read, because its key is gone for example, must not keep the others from being looked after.
    stopOnError: false,
  });
  const wanted = new Set(entries.map(({ name }) => name));
  // The list lags a little behind: what it does not show yet is removed a minute later.
  for await (const schedule of client.schedule.list()) {
    const name = cleanupOfSchedule(schedule.scheduleId);
    if (name === null || wanted.has(name) || !isOurs(schedule)) continue;
    if (
      await unlessGone(
        client.schedule
          .getHandle(schedule.scheduleId)
          .delete()
          .then(() => true),
      )
    ) {
      log.info({ cleanup: name }, 'removed the Schedule of a cleanup that is not in force any more');
    }
    await forgetSkips(ledger, name);
  }
}

async function ensureSchedule(
  ledger: Pick<Ledger, 'meta'>,
  client: Client,
  log: Logger,
  entry: CleanupEntry,
  strangers: Set<string>,
): Promise<void> {
  const { name } = entry;
  const wanted = scheduleOf(entry);
  const handle = client.schedule.getHandle(wanted.scheduleId);
  const found = await unlessGone<ScheduleDescription>(handle.describe());
  if (found === null) {
    await create(client, wanted, () => log.info({ cleanup: name, ...entry.schedule }, 'scheduled a cleanup'));
    return;
  }
  if (!isOurs(found)) {
    if (!strangers.has(name)) {
      log.error(
        { scheduleId: wanted.scheduleId },
        'Temporal has a Schedule of this name that Curfew did not make, so this cleanup does not run: delete that one, or rename the cleanup',
      );
    }
    strangers.add(name);
    return;
  }
  strangers.delete(name);
  await tellSkips(ledger, log, name, found);
  if (fingerprintOf(found) === fingerprintOf(wanted)) return;
  const { spec, action, policies } = wanted;
  // Its state stays: what a person has paused stays paused.
  await unlessGone(handle.update(({ state }) => ({ spec, action, policies, state })));
  log.info({ cleanup: name, ...entry.schedule }, 'changed the Schedule of a cleanup');
}

/** Another worker may have been quicker. */
async function create(client: Client, wanted: ReturnType<typeof scheduleOf>, onCreated: () => void): Promise<void> {
  try {
    await client.schedule.create(wanted);
    onCreated();
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}

/** @returns null when there is no such Schedule */
async function unlessGone<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}
