import { readSight } from '../../adapters/vendor/sights.js';
import type { Agent } from '../../adapters/vendor/index.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import type { Observation } from '../../core/policy/observation.js';
import type { Read } from './gate.js';

/**
 * What a read of the gate showed, as policies see it; see {@link readSight}.
 *
 * @returns null: the session was not there, or the vendor's time is not known
 */
export const observationOf = (
  vendorClock: Pick<VendorClock, 'at'>,
  { session, sentAt, receivedAt }: Pick<Read, 'session' | 'sentAt' | 'receivedAt'>,
  agentId: string | null,
  agent: Agent | null,
  notBeforeMs?: number,
): Observation | null =>
  session === null ? null : readSight(vendorClock, { value: session, sentAt, receivedAt }, agentId, agent, notBeforeMs);
