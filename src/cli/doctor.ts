import { existsSync } from 'node:fs';
import { readCleanups, type CleanupStanding } from '../engines/cleanup/standing.js';
import { strangeSchedule } from '../engines/cleanup/strange-schedule.js';
import { payloadEncryption } from '../adapters/codec/encryption.js';
import type { Config } from '../platform/config.js';
import { TASK_QUEUE } from '../core/contract.js';
import type { DotEnv } from '../platform/dot-env.js';
import { ExitCode, UserError } from '../core/errors.js';
import { listVisibleAgents } from '../adapters/vendor/agents.js';
import { teamsCoverage } from '../adapters/ledger/coverage.js';
import { NEVER_SHOWN, teamsWords } from '../engines/fleet/teams-words.js';
import { systemClock } from '../platform/clock.js';
import { readHold } from '../adapters/ledger/hold-mark.js';
import { holdWords } from '../adapters/vendor/hold.js';
import { createLimiter } from '../adapters/vendor/limiter.js';
import { homeTrust } from '../platform/home-trust.js';
import { LedgerUnavailableError, unavailableAsUserError } from '../adapters/ledger/errors.js';
import { proxyFor } from '../platform/http/proxy.js';
import { openLedgerIfAny, type Ledger } from '../adapters/ledger/ledger.js';
import { locateLedger } from '../adapters/ledger/open.js';
import { checkRoutes } from '../engines/notify/check.js';
import { findStrangers } from './own-ids-check.js';
import { teamsNamed } from '../core/policy/match.js';
import { createCredentials, createSessionsClient, SessionsError } from '../adapters/vendor/index.js';
import { checkBelonging, SEARCH_ATTRIBUTES_META } from '../adapters/temporal/belonging.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../adapters/temporal/connection.js';
import { readAttributesStanding } from '../adapters/temporal/search-attributes-standing.js';
import { distance } from '../core/text/distance.js';
import { counted } from './words.js';
import { USER_AGENT } from '../platform/version.js';
import { capital } from '../core/text/capital.js';

export interface CheckResult {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped';
  /** What was found, in one sentence. */
  readonly says: string;
  /** What to do about it; null when nothing is to be done. */
  readonly next: string | null;
  /** What the command exits with when this failed. */
  readonly exitCode: ExitCode;
}

/** A clock further off than this makes times in the ledger hard to read beside the vendor's, ms. Turns are timed by the vendor's clock. */
const TOLERATED_SKEW_MS = 5_000;

type Finding = Pick<CheckResult, 'status' | 'says'> & { readonly next?: string; readonly exitCode?: ExitCode };

export interface CheckOptions {
  /** Also send a test message by each notification route. */
  readonly notify: boolean;
}

/** All checks, in the order in which things are needed. Changes nothing. */
export async function runChecks(config: Config, { notify }: CheckOptions): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const check = async (name: string, look: () => Promise<Finding>): Promise<void> => {
    const finding = await look().catch(asFinding);
    results.push({
      name,
      status: finding.status,
      says: finding.says,
      next: finding.next ?? null,
      exitCode: finding.exitCode ?? ExitCode.failed,
    });
  };

  await check('node', () =>
    Promise.resolve({ status: 'ok', says: `Node.js ${process.version} on ${process.platform} ${process.arch}.` }),
  );
  await check('home', () => Promise.resolve(checkHome(config.home)));
  if (config.dotEnv !== null) await checkDotEnv(config.dotEnv, check);
  const { accepted, skewMs } = await checkVendor(config, check);
  const ledger = await checkLedger(config, check);
  try {
    await check('clock', () => lookAtClocks(skewMs, ledger));
    if (ledger !== null) await checkHold(ledger, check);
    if (accepted) await checkTeams(config, ledger, check);
    await checkPayloadKeys(config, check);
    await checkTemporal(config, ledger, check);
    await checkNotification(ledger, notify, check);
  } finally {
    await ledger?.close();
  }
  return results;
}

function checkHome(home: string): Finding {
  if (!existsSync(home)) {
    return { status: 'warning', says: `${home} does not exist yet.`, next: '`curfew up` creates it.' };
  }
  const { refusal, warning } = homeTrust(home);
  if (refusal !== null) return { status: 'failed', ...refusal, exitCode: ExitCode.refused };
  return warning === null ? { status: 'ok', says: home } : { status: 'warning', ...warning };
}

type Check = (name: string, look: () => Promise<Finding>) => Promise<void>;

/** A file that one forgot, or never knew of, decides where Curfew works. */
const checkDotEnv = ({ path, names, ignored }: DotEnv, check: Check): Promise<void> =>
  check('settings', () => {
    const taken = names.length === 0 ? 'nothing' : names.toSorted().join(', ');
    const rest =
      ignored.length === 0 ? '' : ` Ignored, because they are not settings of Curfew: ${ignored.join(', ')}.`;
    return Promise.resolve({ status: 'ok', says: `From ${path}: ${taken}.${rest}` });
  });

interface VendorChecked {
  /** The vendor answers and accepts the key. */
  readonly accepted: boolean;
  /** How far our clock is ahead of the vendor's, ms, to within a second; null: not known. */
  readonly skewMs: number | null;
}

async function checkVendor(config: Config, check: Check): Promise<VendorChecked> {
  const credentials = createCredentials(config.env);
  let usable = false;
  let accepted = false;
  let skewMs: number | null = null;
  await check('key', async () => {
    await credentials.headers();
    usable = true;
    return { status: 'ok', says: `A ${credentials.describe()}.` };
  });
  const proxies = [config.apiBaseUrl, 'https://example.com', 'http://example.com'].map((url) =>
    URL.canParse(url) ? proxyFor(url, config.env) : null,
  );
  const [ofApi, ...others] = proxies;
  const other = others.find((proxy) => proxy !== null);
  if (ofApi != null || other != null) {
    await check('proxy', () =>
      Promise.resolve({
        status: 'ok',
        says:
          ofApi != null
            ? `Requests to the vendor go through the proxy ${ofApi.describe} (${ofApi.setting}).`
            : `Requests to the vendor go there directly; others through the proxy ${other?.describe} (${other?.setting}).`,
      }),
    );
  }
  await check('api', async () => {
    if (!usable) return { status: 'skipped', says: 'Not tested: no usable key is set.' };
    const sessions = createSessionsClient({ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT });
    try {
      const sentWallMs = Date.now();
      const { value, serverDateMs } = await sessions.listAgents({ pageSize: 1 });
      accepted = true;
      skewMs = serverDateMs === null ? null : sentWallMs - serverDateMs;
      const none = value.agents.length === 0 ? ' It shows no agents of its own to this key.' : '';
      return { status: 'ok', says: `${config.apiBaseUrl} answers and accepts the key.${none}` };
    } finally {
      sessions.close();
    }
  });
  return { accepted, skewMs };
}

/** Retention, exemptions and leases go by the ledger's clock; a ledger in a file has that of this machine. */
async function lookAtClocks(skewMs: number | null, ledger: Ledger | null): Promise<Finding> {
  const newest = ledger === null ? null : await ledger.newestRow();
  const rowAgeMs = ledger === null || newest === null ? null : (await ledger.now()) - newest;
  const says = [
    skewMs === null ? 'The vendor’s time is unknown' : `Ours is ${apart(skewMs)} the vendor’s`,
    ...(rowAgeMs === null ? [] : [`the ledger’s is ${apart(rowAgeMs)} its newest row`]),
  ];
  const isOff = skewMs !== null && Math.abs(skewMs) > TOLERATED_SKEW_MS;
  const isBehind = rowAgeMs !== null && rowAgeMs < -TOLERATED_SKEW_MS;
  return {
    status: isOff || isBehind ? 'warning' : skewMs === null ? 'skipped' : 'ok',
    says: `${says.join('; ')}.`,
    ...(isOff || isBehind ? { next: CLOCK_ADVICE } : {}),
  };
}

/** The vendor's `Date` has whole seconds. */
const apart = (ms: number): string => (Math.abs(ms) < 2_000 ? 'within 2 seconds of' : distance(ms));

const CLOCK_ADVICE =
  'Set the clock of this machine (NTP), and of the database’s where the ledger is PostgreSQL. Turns are timed by the vendor’s clock. While the ledger’s is over an hour off, its retention removes nothing; times in it are wrong.';

/** Which agents a worker with this key watches, and which not. */
async function checkTeams(config: Config, ledger: Ledger | null, check: Check): Promise<void> {
  await check('teams', async () => {
    const inForce = await ledger?.policies.inForce();
    const policies = inForce?.kind === 'known' ? inForce.inForce.file.policies : [];
    const named = policies.filter(({ mode }) => mode !== 'off').flatMap(({ match }) => teamsNamed(match));
    const credentials = createCredentials(config.env);
    const sessions = createSessionsClient({ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT });
    try {
      const limiter = createLimiter(config.requestsPerSecond, systemClock);
      const look = { own: true, shownTeams: true, named, concerns: () => true };
      const { teams, failure } = await listVisibleAgents({ sessions, limiter }, look);
      if (failure !== null) throw failure;
      const { seen, missing } = teamsWords(teamsCoverage(teams));
      const says = `${[`This key shows ${seen}`, ...missing].map(capital).join('. ')}.`;
      if (missing.length > 0) return { status: 'warning', says, next: TEAMS_ADVICE };
      return { status: 'ok', says: `${says} ${capital(NEVER_SHOWN)}.` };
    } finally {
      sessions.close();
    }
  });
}

const TEAMS_ADVICE =
  'Curfew does not watch what the vendor does not show. Make the user of the key a member of the team, or run a worker with a key of the team (GUMLOOP_TEAM_ID); correct a misspelt id in the policy file.';

async function checkLedger(config: Config, check: Check): Promise<Ledger | null> {
  let ledger: Ledger | null = null;
  await check('ledger', async () => {
    ledger = await openLedgerIfAny(config.databaseUrl);
    if (ledger === null) {
      return {
        status: 'warning',
        says: `There is no ledger at ${locateLedger(config.databaseUrl).describe} yet.`,
        next: 'The first worker creates it: `curfew up` or `curfew worker`. If there was one, CURFEW_HOME or CURFEW_DATABASE_URL points elsewhere.',
      };
    }
    const open = await ledger.orders.views({ openOnly: true, limit: 1_000 });
    return {
      status: 'ok',
      says: `${ledger.describe}; ${open.length === 1_000 ? '1000 or more open orders' : counted(open.length, 'open order')}.`,
    };
  });
  const opened = ledger as Ledger | null;
  if (opened !== null) {
    await check('pause switch', async () => {
      const { paused, changedBy, reason } = await opened.pauseSwitch.read();
      if (!paused) return { status: 'ok', says: 'Not paused.' };
      return {
        status: 'warning',
        says: `Paused by ${changedBy ?? 'someone'}${reason === null ? '' : `: ${reason}`}. No cancel request leaves.`,
        next: '`curfew resume`, when it is safe.',
      };
    });
  }
  return opened;
}

async function checkHold(ledger: Ledger, check: Check): Promise<void> {
  await check('requests', async () => {
    const hold = await readHold(ledger);
    if (hold === null) return { status: 'ok', says: 'The vendor holds no requests back.' };
    return {
      status: 'warning',
      says: `Now ${holdWords(hold)}. Then one goes first, and the rest when the vendor answers it.`,
      next: 'Nothing is lost. Perhaps something else uses this key, or CURFEW_REQUESTS_PER_SECOND is too high. For a case that still has to send, `curfew cases retry ID` asks the vendor at once.',
    };
  });
}

async function checkNotification(ledger: Ledger | null, send: boolean, check: Check): Promise<void> {
  const findings = ledger === null ? [] : await checkRoutes(ledger, send).catch((error: unknown) => asFinding(error));
  if (!Array.isArray(findings)) return check('notify', () => Promise.resolve(findings));
  for (const { route, ...finding } of findings) await check(`notify ${route}`, () => Promise.resolve(finding));
  if (findings.length > 0 || !send) return;
  await check('notify', () =>
    Promise.resolve({
      status: 'warning',
      says: 'No policies in force have notification routes, so nobody gets notices.',
      next: 'Add a route under `notify` in the policy file, and name it in a policy.',
    }),
  );
}

async function checkPayloadKeys(config: Config, check: Check): Promise<void> {
  const encryption = payloadEncryption(config.env);
  if (!encryption.on) return;
  await check('payload keys', async () => {
    const keys = await encryption.check();
    const says = `Payloads in Temporal are encrypted with the key "${keys?.keyId}".`;
    if (keys?.warning == null) return { status: 'ok', says };
    return {
      status: 'warning',
      says: `${says} ${keys.warning}`,
      next: 'Remove the rights of others: chmod o-rwx,g-wx.',
    };
  });
}

async function checkTemporal(config: Config, ledger: Ledger | null, check: Check): Promise<void> {
  let opened: TemporalClient | null = null;
  let usable = false;
  try {
    await check('temporal', async () => {
      const target = resolveTemporal(config);
      const temporal = (opened = await connectClient(target, { retryForMs: 3_000 }));
      if (ledger !== null) await checkBelonging(ledger, target, temporal);
      usable = true;
      const where = target.kind === 'configured' ? target.describe : target.kind === 'embedded' ? target.address : '';
      const { pollers } = await temporal.connection.workflowService.describeTaskQueue({
        namespace: temporal.namespace,
        taskQueue: { name: TASK_QUEUE },
        taskQueueType: 1,
      });
      if ((pollers ?? []).length > 0)
        return {
          status: 'ok',
          says: `${where} answers; ${counted(pollers.length, 'poller')} on the queue "${TASK_QUEUE}".`,
        };
      return {
        status: 'failed',
        says: `${where} answers, but no worker polls the queue "${TASK_QUEUE}": no order is carried out.`,
        next: 'Start one: `curfew up` or `curfew worker`.',
        exitCode: ExitCode.unreachable,
      };
    });
    if (opened !== null && usable && ledger !== null) await checkOwnIds(opened, ledger, check);
    if (opened !== null) await checkSearchAttributes(opened, ledger, check);
    if (ledger !== null) await checkCleanups(ledger, usable ? opened : null, check);
  } finally {
    await (opened as TemporalClient | null)?.close();
  }
}

const checkOwnIds = ({ client }: TemporalClient, ledger: Ledger, check: Check): Promise<void> =>
  check('own ids', async () => {
    const [first, ...more] = await findStrangers(ledger, client);
    if (first === undefined) {
      return { status: 'ok', says: 'Nothing else in Temporal uses the ids that Curfew needs now.' };
    }
    const others =
      more.length === 0
        ? ''
        : ` So it is with ${more
            .map(({ id }) => id)
            .slice(0, 10)
            .join(', ')}.`;
    return { status: 'failed', says: `${first.says}${others}`, next: first.next };
  });

const checkSearchAttributes = (
  { connection, namespace }: TemporalClient,
  ledger: Ledger | null,
  check: Check,
): Promise<void> =>
  check('search attributes', async () => {
    const left = (await ledger?.meta.read(SEARCH_ATTRIBUTES_META)) ?? null;
    const { next, ...standing } = await readAttributesStanding(connection, namespace, left);
    return { ...standing, ...(next !== '' && { next }) };
  });

/** Nothing is said where the policies in force have no cleanups, or none that this Curfew can read. */
async function checkCleanups(ledger: Ledger, temporal: TemporalClient | null, check: Check): Promise<void> {
  const policies = await ledger.policies.inForce().catch(() => null);
  const entries = policies?.kind === 'known' ? policies.inForce.file.cleanup : [];
  if (entries.length === 0) return;
  await check('cleanups', async () => {
    const cleanups = await readCleanups(ledger, temporal?.client ?? null, entries);
    const stuck = cleanups.flatMap((cleanup) => obstacleOf(cleanup) ?? []);
    const inTheWay = cleanups.find(({ schedule }) => schedule?.kind === 'foreign')?.entry.name;
    const foreign = inTheWay === undefined ? null : strangeSchedule(inTheWay, temporal?.namespace ?? '').next;
    if (stuck.length > 0) {
      return {
        status: 'failed',
        says: stuck.join(' '),
        next:
          foreign ?? 'If the policy file is at fault, correct and apply it. `curfew cleanup list` shows all cleanups.',
      };
    }
    if (temporal === null) return { status: 'skipped', says: 'Can’t ask Temporal for their Schedules.' };
    const missing = cleanups.filter(({ schedule }) => schedule?.kind === 'missing').map(({ entry }) => entry.name);
    if (missing.length === 0) return { status: 'ok', says: `Temporal has a Schedule for each: ${entries.length}.` };
    return {
      status: 'warning',
      says: `Temporal has no Schedule for ${missing.join(', ')}.`,
      next: 'A worker creates it within a minute; otherwise its log says why.',
    };
  });
}

function obstacleOf({ entry, schedule, refusal }: CleanupStanding): string | null {
  if (refusal !== null) return `Temporal refuses the Schedule of ${entry.name}: ${refusal.cause}.`;
  if (schedule?.kind !== 'foreign') return null;
  return `${entry.name} does not run: Temporal has a Schedule of its name that Curfew did not make.`;
}

function asFinding(error: unknown): Finding {
  const known = error instanceof LedgerUnavailableError ? unavailableAsUserError(error) : error;
  if (known instanceof UserError)
    return { status: 'failed', says: known.message, next: known.next, exitCode: known.exitCode };
  if (known instanceof SessionsError) {
    return {
      status: 'failed',
      says: `${known.message.replace(/\.$/, '')}.`,
      next: VENDOR_ADVICE[known.kind] ?? VENDOR_ADVICE_ELSE,
      exitCode: ExitCode.unreachable,
    };
  }
  return { status: 'failed', says: known instanceof Error ? known.message : String(known) };
}

const VENDOR_ADVICE: Partial<Record<SessionsError['kind'], string>> = {
  unauthorized:
    'Create a new key, set it, and check that GUMLOOP_USER_ID is the user it belongs to. Open cases then continue by themselves.',
  'no-credential': 'Set GUMLOOP_API_KEY (or GUMLOOP_API_KEY_FILE) and GUMLOOP_USER_ID.',
  'account-forbidden': 'API keys need a paid plan, and an administrator may have switched the API off.',
  'connection-failed': 'Check the network, the proxy (HTTPS_PROXY, NO_PROXY), and GUMLOOP_BASE_URL.',
  'rate-limited':
    'The vendor got too many requests with this key. Orders are kept; check whether something else uses the key, or lower CURFEW_REQUESTS_PER_SECOND.',
  redirected: 'Check GUMLOOP_BASE_URL: it must end in /api/v1 and point directly to the API.',
};
const VENDOR_ADVICE_ELSE = 'Try again in a minute; orders are kept meanwhile.';
