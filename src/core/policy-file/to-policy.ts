import {
  LIMIT_NAMES,
  type Caps,
  type CleanupEntry,
  type Limits,
  type Match,
  type NotifyRoute,
  type Policy,
  type PolicyFile,
} from '../policy/policy.js';
import type { WrittenCleanup, WrittenFile, WrittenMatch, WrittenPolicy } from './schema.js';

/** Design defaults; docs/policies.md names them too. */
const DEFAULT_CAPS: Caps = { maxCancels: 50, maxPercent: 50, perMs: 3_600_000 };
export const DEFAULT_TIME_ZONE = 'UTC';

/** From what people write to what the rules use, with defaults filled in. The input has passed the schema. */
export function policyFileOf(written: WrittenFile): PolicyFile {
  return {
    version: written.version,
    policies: (written.policies ?? []).map(policyOf),
    cleanup: (written.cleanup ?? []).map(cleanupOf),
    notify: Object.fromEntries(Object.entries(written.notify ?? {}).map(([name, route]) => [name, routeOf(route)])),
    exempt: (written.exempt ?? []).map(({ session, until, reason }) => ({
      sessionId: session,
      untilMs: until,
      reason,
    })),
  };
}

function policyOf(written: WrittenPolicy): Policy {
  const restart = written.on_restart ?? 'report';
  return {
    name: written.name,
    match: matchOf(written.match),
    limits: Object.fromEntries(LIMIT_NAMES.map((name) => [name, written.limits[name] ?? null])) as unknown as Limits,
    warnAt: written.warn_at ?? null,
    graceMs: written.grace ?? 0,
    // A new policy ends nothing until its writer has seen what it would end.
    mode: written.mode ?? 'observe',
    caps: capsOf(written.caps),
    notify: [...new Set(written.notify ?? [])],
    onRestart: restart === 'report' ? { action: 'report' } : { action: 'cancel', max: restart.cancel.max },
  };
}

function cleanupOf({ name, select, schedule, caps }: WrittenCleanup): CleanupEntry {
  return {
    name,
    select: {
      match: select.match === undefined ? null : matchOf(select.match),
      states: [...new Set(select.states)],
      queuedForMs: select.queued_for ?? null,
      runningForMs: select.running_for ?? null,
    },
    schedule: { cron: schedule.cron, timezone: schedule.timezone ?? DEFAULT_TIME_ZONE },
    caps: capsOf(caps),
  };
}

const capsOf = (caps: WrittenPolicy['caps']): Caps => ({
  maxCancels: caps?.max_cancels ?? DEFAULT_CAPS.maxCancels,
  maxPercent: caps?.max_percent ?? DEFAULT_CAPS.maxPercent,
  perMs: caps?.per ?? DEFAULT_CAPS.perMs,
});

function routeOf({ slack, webhook }: NonNullable<WrittenFile['notify']>[string]): NotifyRoute {
  if (slack !== undefined) return { slack: { urlFile: slack.url_file } };
  if (webhook !== undefined) return { webhook: { url: webhook.url, secretFile: webhook.secret_file } };
  throw new TypeError('The schema lets no route without a kind pass.');
}

/** @throws TypeError for a rule that has not passed the schema */
export function matchOf({ all, any, not, agents, creators, teams }: WrittenMatch): Match {
  if (all !== undefined) return { all: all.map(matchOf) };
  if (any !== undefined) return { any: any.map(matchOf) };
  if (not !== undefined) return { not: matchOf(not) };
  if (agents !== undefined) return { agents };
  if (creators !== undefined) return { creators };
  if (teams !== undefined) return { teams };
  throw new TypeError('The schema lets no rule without a key pass.');
}
