import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import type { Logger } from '../../platform/telemetry.js';

/** A Schedule's counters as someone was last told of them. They begin anew when the Schedule is created again. */
export interface Counted {
  readonly createdAt: string;
  readonly overlap: number;
  readonly missed: number;
}

/** Why Temporal did not start a run. */
const WHY = {
  overlap: 'the previous run was still in progress',
  missed: 'Temporal was down for more than an hour after its time',
} as const;

const metaKey = (name: string): string => `cleanup-skips/${name}`;

/** Tells of runs that Temporal has skipped since someone was told last: once, however many workers see it. */
export async function tellSkips(
  ledger: Pick<Ledger, 'meta'>,
  log: Logger,
  name: string,
  { counted: now }: { readonly counted: Counted },
): Promise<void> {
  const noted = await ledger.meta.read(metaKey(name));
  const known = noted === null ? null : (JSON.parse(noted) as Counted);
  // Told of an earlier Schedule of this name: a later one counts from zero.
  const before = known?.createdAt === now.createdAt ? known : { overlap: 0, missed: 0 };
  const events = (['overlap', 'missed'] as const).flatMap((why): EventToRecord[] => {
    const runs = now[why] - before[why];
    return runs > 0 ? [{ kind: 'cleanup-skipped', data: { cleanup: name, why, runs, text: WHY[why] } }] : [];
  });
  if (events.length === 0) return;
  if (!(await ledger.meta.swap(metaKey(name), noted, JSON.stringify(now), events))) return;
  for (const { data } of events) log.warn({ ...data }, 'a cleanup was skipped');
}

/** The Schedule is gone, and its counters with it. */
export const forgetSkips = async (ledger: Pick<Ledger, 'meta'>, name: string): Promise<void> =>
  void (await ledger.meta.drop(metaKey(name)));
