import type { BreakerReason } from '../core/policy/caps.js';
import { formatDuration } from '../core/policy-file/index.js';

/** The cap alone: "max_cancels: 20 per 1h". */
export const trippedCap = ({ cap, capValue, perMs }: BreakerReason): string =>
  `${cap}: ${capValue} per ${formatDuration(perMs)}`;

/** Completes "because …": which cap a policy went over. */
export function trippedWords({ cap, capValue, taken, perMs, liveSessions }: BreakerReason): string {
  const per = formatDuration(perMs);
  const ended = `it had ended ${taken} ${taken === 1 ? 'turn' : 'turns'} within ${per}`;
  return cap === 'max_cancels'
    ? `${ended}, and its cap is ${capValue}`
    : `${ended}, and its cap is ${capValue}% of the live sessions (${liveSessions ?? 'unknown'})`;
}
