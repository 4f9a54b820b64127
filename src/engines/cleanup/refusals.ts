import { isGrpcServiceError } from '@temporalio/client';
import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import type { Logger } from '../../platform/telemetry.js';
import { GrpcStatus } from '../../adapters/temporal/grpc-status.js';

/** That Temporal will not have the Schedule of a cleanup as the policies in force want it. */
export interface Refusal {
  /** When it was found, ledger's clock, ISO 8601. */
  readonly at: string;
  /** In Temporal's words: "unknown time zone PST". */
  readonly cause: string;
  /** An earlier form of the Schedule is there, and goes on. */
  readonly earlierStands: boolean;
  /** The mark of what was refused. */
  readonly fingerprint: string;
}

export type FoundRefusal = Omit<Refusal, 'at'>;
/** By the name of the cleanup. */
export type Refusals = ReadonlyMap<string, Refusal>;

const META_KEY = 'cleanup-refusals';
/** Answers that stay the same however often the same is asked. */
const FINAL: ReadonlySet<number> = new Set([
  GrpcStatus.invalidArgument,
  GrpcStatus.permissionDenied,
  GrpcStatus.failedPrecondition,
  GrpcStatus.outOfRange,
  GrpcStatus.unimplemented,
]);

/**
 * @param error - of a call that creates or changes a Schedule
 * @returns what Temporal says against it; null: that it will not have it was not the answer
 */
export function causeOfRefusal(error: unknown): string | null {
  // The SDK's form of "Invalid schedule spec".
  if (error instanceof TypeError) return error.message;
  const answer = isGrpcServiceError(error) ? error : error instanceof Error ? error.cause : null;
  if (!isGrpcServiceError(answer) || !FINAL.has(Number(answer.code))) return null;
  return (answer.details || answer.message).replace(/^Invalid schedule spec: /, '');
}

/** What workers have found last. */
export async function readRefusals(ledger: Pick<Ledger, 'meta'>): Promise<Refusals> {
  return parse(await ledger.meta.read(META_KEY));
}

/**
 * Notes what Temporal refuses, and tells of each refusal: once, however many workers see it.
 *
 * @param refused - by the name of the cleanup; what was noted before and is not among them is over
 * @param unknown - cleanups of which it is not known now: what was noted of them stays
 */
export async function noteRefusals(
  ledger: Pick<Ledger, 'meta' | 'now'>,
  log: Logger,
  refused: ReadonlyMap<string, FoundRefusal>,
  unknown: ReadonlySet<string>,
): Promise<void> {
  const noted = await ledger.meta.read(META_KEY);
  const before = parse(noted);
  const after = new Map([...before].filter(([name]) => unknown.has(name)));
  const fresh = new Map<string, FoundRefusal>();
  const at = new Date(await ledger.now()).toISOString();
  for (const [name, refusal] of refused) {
    const known = before.get(name);
    const same = known?.cause === refusal.cause && known.fingerprint === refusal.fingerprint;
    after.set(name, same ? known : { ...refusal, at });
    if (!same) fresh.set(name, refusal);
  }
  if (fresh.size === 0 && after.size === before.size) return;
  const events = [...fresh].map(([name, refusal]) => eventOf(name, refusal));
  // False: another worker has noted it.
  if (!(await ledger.meta.swap(META_KEY, noted, JSON.stringify([...after]), events))) return;
  for (const [cleanup, { cause }] of fresh) {
    log.error({ cleanup, cause }, 'Temporal refuses the Schedule of a cleanup');
  }
}

const eventOf = (cleanup: string, { cause, earlierStands }: FoundRefusal): EventToRecord => ({
  kind: 'cleanup-failed',
  data: { cleanup, why: 'schedule-refused', earlierStands, text: cause },
});

const parse = (text: string | null): Refusals =>
  new Map(text === null ? [] : (JSON.parse(text) as [string, Refusal][]));
