import type { WatchLimits } from '../../core/contract.js';
import type { LimitChanges } from '../../adapters/ledger/watches.js';
import { formatDuration } from '../../core/duration.js';
import { limitsAlone, NO_LIMITS, type LimitName, type Limits, type Policy } from '../../core/policy/policy.js';

/** How each limit is called in requests, and what it is measured in. */
export const WATCH_LIMITS = {
  maxRuntime: { limit: 'max_runtime', unit: 'ms' },
  maxContinuousRuntime: { limit: 'max_continuous_runtime', unit: 'ms' },
  maxQueueTime: { limit: 'max_queue_time', unit: 'ms' },
  maxCredits: { limit: 'max_credits', unit: 'credits' },
  maxSessionCredits: { limit: 'max_session_credits', unit: 'credits' },
  maxTokens: { limit: 'max_tokens', unit: 'tokens' },
} as const satisfies Record<keyof WatchLimits, { limit: LimitName; unit: 'ms' | 'credits' | 'tokens' }>;

export type WatchLimitName = keyof typeof WATCH_LIMITS;
export const WATCH_LIMIT_NAMES = Object.keys(WATCH_LIMITS) as WatchLimitName[];

/** From the names of requests to those of policies. */
export const limitChanges = (given: { readonly [K in WatchLimitName]?: number | null | undefined }): LimitChanges =>
  Object.fromEntries(
    WATCH_LIMIT_NAMES.flatMap((name) => {
      const value = given[name];
      return value === undefined ? [] : [[WATCH_LIMITS[name].limit, value]];
    }),
  );

/** As they are written: "20m", 500. */
export const writtenLimits = (limits: Limits): WatchLimits =>
  Object.fromEntries(
    WATCH_LIMIT_NAMES.flatMap((name) => {
      const { limit, unit } = WATCH_LIMITS[name];
      const value = limits[limit];
      return value === null ? [] : [[name, unit === 'ms' ? formatDuration(value) : value]];
    }),
  );

/** In one line, for people: "max-runtime 20m, max-credits 500". */
export const limitsText = (limits: WatchLimits): string =>
  Object.entries(limits)
    .map(([name, value]) => `${optionName(name)} ${value}`)
    .join(', ');

/** `maxRuntime` → `max-runtime`. */
export const optionName = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const WATCH_POLICY = 'session-watch';

/** The policy that a watch is. */
export const policyOf = (limits: Limits): Policy => limitsAlone(WATCH_POLICY, limits);

/** The same without limits on usage. */
export const timesOnly = ({ max_runtime, max_continuous_runtime, max_queue_time }: Limits): Limits => ({
  ...NO_LIMITS,
  ...{ max_runtime, max_continuous_runtime, max_queue_time },
});
