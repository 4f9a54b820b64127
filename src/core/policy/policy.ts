/**
 * A policy as the rules use it: durations in ms, amounts as plain numbers, defaults filled in. What people write is read
 * by `src/core/policy-file`.
 */
export interface Policy {
  /** Unique in its file: lower-case words with dashes. */
  readonly name: string;
  readonly match: Match;
  readonly limits: Limits;
  /** Warn at this share of a limit, in (0, 1); null: never. */
  readonly warnAt: number | null;
  /** Time between the first violation of a turn and the order to end it, ms. */
  readonly graceMs: number;
  readonly mode: PolicyMode;
  readonly caps: Caps;
  /** Names of notification routes. */
  readonly notify: readonly string[];
  readonly onRestart: OnRestart;
}

/** `off`: not looked at. `observe`: says what it would end. `enforce`: ends it. */
export type PolicyMode = 'off' | 'observe' | 'enforce';

/** Which sessions a policy is about. */
export type Match =
  | { readonly all: readonly Match[] }
  | { readonly any: readonly Match[] }
  | { readonly not: Match }
  /** Globs on the agent's id or name. */
  | { readonly agents: readonly string[] }
  /** Globs on the creator's id or e-mail address. */
  | { readonly creators: readonly string[] }
  /** Team ids, exactly. */
  | { readonly teams: readonly string[] };

export const LIMIT_NAMES = [
  'max_runtime',
  'max_continuous_runtime',
  'max_queue_time',
  'max_credits',
  'max_session_credits',
  'max_tokens',
] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];

/** Null: no such limit. Times in ms, credits may be fractional, tokens are input and output together. */
export interface Limits {
  /** One turn processing. */
  readonly max_runtime: number | null;
  /** Unbroken processing, whatever was said meanwhile. */
  readonly max_continuous_runtime: number | null;
  /** One turn waiting. */
  readonly max_queue_time: number | null;
  /** One turn. */
  readonly max_credits: number | null;
  /** Life of the session. */
  readonly max_session_credits: number | null;
  /** One turn. */
  readonly max_tokens: number | null;
}

export const NO_LIMITS: Limits = {
  max_runtime: null,
  max_continuous_runtime: null,
  max_queue_time: null,
  max_credits: null,
  max_session_credits: null,
  max_tokens: null,
};

/** Limits as a policy, so that the same rules judge them. It is about every session it is asked of, and no caps apply. */
export const limitsAlone = (name: string, limits: Limits): Policy => ({
  ...{ name, limits, match: { all: [] }, warnAt: null, graceMs: 0, mode: 'enforce', notify: [] },
  caps: { maxCancels: Number.MAX_SAFE_INTEGER, maxPercent: 100, perMs: 1 },
  onRestart: { action: 'report' },
});

/** A circuit breaker on ourselves. */
export interface Caps {
  readonly maxCancels: number;
  /** Of the live sessions, 0 to 100. */
  readonly maxPercent: number;
  readonly perMs: number;
}

/** What to do when a session that was ended starts a new turn by itself. */
export type OnRestart = { readonly action: 'report' } | { readonly action: 'cancel'; readonly max: number };

/** The whole file. */
export interface PolicyFile {
  readonly version: 1;
  readonly policies: readonly Policy[];
  readonly cleanup: readonly CleanupEntry[];
  readonly notify: Readonly<Record<string, NotifyRoute>>;
  /** Sessions that no rule may end for a while, expired ones included. */
  readonly exempt: readonly Exemption[];
}

export interface Exemption {
  readonly sessionId: string;
  /** Ms since the Unix epoch; from then on it has no effect. */
  readonly untilMs: number;
  readonly reason: string;
}

export interface CleanupEntry {
  readonly name: string;
  readonly select: CleanupSelect;
  readonly schedule: { readonly cron: string; readonly timezone: string };
  readonly caps: Caps;
}

interface CleanupSelect {
  readonly match: Match | null;
  /** At least one. */
  readonly states: readonly ('queued' | 'processing')[];
  readonly queuedForMs: number | null;
  readonly runningForMs: number | null;
}

export type NotifyRoute =
  | { readonly slack: { readonly urlFile: string } }
  | { readonly webhook: { readonly url: string; readonly secretFile: string } };
