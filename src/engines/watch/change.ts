import type { OrderMet, WatchAnswer, WatchStatus } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Watch, WatchChange } from '../../adapters/ledger/watches.js';
import type { Logger } from '../../platform/telemetry.js';
import { limitsText } from './limits.js';
import { noLimitLeft, readExtension, readRegistration, readRelease } from './request.js';
import { readStatus } from './status.js';

export interface ChangeDependencies {
  readonly ledger: Pick<Ledger, 'watches' | 'orders'>;
  readonly log: Logger;
}

/** There is no open watch to change. */
export class WatchClosedError extends Error {
  override readonly name = 'WatchClosedError';
}

/**
 * Registers a watch, or changes the limits of the open one. Safe to repeat.
 *
 * @throws InvalidWatchError that names the wrong field
 */
export async function registerWatch(deps: ChangeDependencies, request: unknown): Promise<WatchStatus> {
  const registration = readRegistration(request);
  return (await answer(deps, registration.sessionId, await deps.ledger.watches.register(registration))).watch;
}

/** @throws InvalidWatchError that names the wrong field; WatchClosedError */
export async function extendWatch(deps: ChangeDependencies, sessionId: string, request: unknown): Promise<WatchAnswer> {
  const extension = readExtension(sessionId, request);
  return answer(deps, sessionId, await deps.ledger.watches.extend(extension));
}

/** @throws InvalidWatchError that names the wrong field; WatchClosedError */
export async function releaseWatch(
  deps: ChangeDependencies,
  sessionId: string,
  request: unknown,
): Promise<WatchAnswer> {
  const word = readRelease(request);
  const released = await deps.ledger.watches.release(sessionId, word);
  if (released.kind === 'not-open') {
    // Run again after a crash: it has been done.
    if (released.watch?.state === 'released' && released.watch.closedBy === word.by) {
      return { order: 'none', watch: await readStatus(deps.ledger, released.watch) };
    }
    throw closed(sessionId, released.watch);
  }
  const { watch, order } = released;
  deps.log.info({ sessionId, ...word, order }, 'watch released');
  return { order, watch: await readStatus(deps.ledger, watch) };
}

async function answer(deps: ChangeDependencies, sessionId: string, change: WatchChange): Promise<WatchAnswer> {
  if (change.kind === 'no-limit-left') throw noLimitLeft();
  if (change.kind === 'not-open') throw closed(sessionId, change.watch);
  const { kind, watch, order } = change;
  const status = await readStatus(deps.ledger, watch);
  if (kind !== 'unchanged') deps.log.info({ sessionId, limits: limitsText(status.limits), order }, `watch ${kind}`);
  return { order, watch: status };
}

const closed = (sessionId: string, watch: Watch | null): WatchClosedError =>
  new WatchClosedError(
    watch === null
      ? `No watch of ${sessionId} is known. Nothing was changed.`
      : `The watch of ${sessionId} is over (${watch.ending}). Nothing was changed; register it again.`,
  );

/** What an extension or a release met, for people. Empty when there was no order. */
export function orderMetText(order: OrderMet): string {
  switch (order) {
    case 'none':
      return '';
    case 'given-up':
      return 'It had ordered the end of the turn; that order is given up, nothing was sent.';
    case 'already-sent':
      return 'A cancel request had been sent already: that order is carried out anyway.';
  }
}
