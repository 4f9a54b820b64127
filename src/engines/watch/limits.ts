import type { WatchLimits } from '../../core/contract.js';
import type { LimitChanges } from '../../adapters/ledger/watches.js';
import { formatDuration } from '../../core/duration.js';
import { LIMIT_NAMES, type LimitName, type Limits, type Policy } from '../../core/policy/policy.js';

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

/** The policy that a watch is: about this session alone, so it matches whatever is known of it. */
export const policyOf = (limits: Limits): Policy => ({
  name: 'session-watch',
  match: { all: [] },
  limits,
  warnAt: null,
  graceMs: 0,
  mode: 'enforce',
  // Ends one session, so no caps apply.
  caps: { maxCancels: Number.MAX_SAFE_INTEGER, maxPercent: 100, perMs: 1 },
  notify: [],
  onRestart: { action: 'report' },
});

const TIME_LIMITS: readonly LimitName[] = ['max_runtime', 'max_continuous_runtime', 'max_queue_time'];

/** The same without limits on usage. */
export const timesOnly = (limits: Limits): Limits =>
  Object.fromEntries(
    LIMIT_NAMES.map((name) => [name, TIME_LIMITS.includes(name) ? limits[name] : null]),
  ) as unknown as Limits;
