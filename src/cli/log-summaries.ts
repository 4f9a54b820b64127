import type { GroupedLogger } from '../platform/grouped-log.js';
import { logAlone } from '../platform/log-context.js';
import type { LogRecord } from '../platform/pretty-line.js';
import type { Logger } from '../platform/telemetry.js';
import { counted } from './words.js';

/** Lines of one kind are one scan's as long as the next comes within so long, ms. */
const QUIET_MS = 2_000;
/** A summary does not wait longer for more, ms: a scan is due every 15 s. */
const LONGEST_MS = 15_000;
/** So few are said one by one. */
const ONE_BY_ONE = 2;

interface Kind {
  /** What they are said together by; their policy, or one word for all. */
  readonly by: (fields: LogRecord) => string;
  readonly summary: (lines: readonly LogRecord[], by: string) => string;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const policyOf = ({ policy }: LogRecord): string => text(policy);

const KINDS: Readonly<Record<string, Kind>> = {
  'would-end': {
    by: policyOf,
    summary: (lines, policy) =>
      `${policy}${lines.every(({ breaker }) => breaker === 'open') ? ', whose breaker is open,' : ''} would end ${counted(lines.length, 'turn')} (${countsOf(lines, 'limit')}); ${worst(lines)}. See: curfew status`,
  },
  warned: {
    by: policyOf,
    summary: (lines, policy) =>
      `${policy} warns about ${counted(lines.length, 'turn')} (${countsOf(lines, 'limit')}); ${worst(lines)}. See: curfew status`,
  },
  'policy ordered the end of a turn': {
    by: policyOf,
    summary: (lines, policy) =>
      `${policy} ends ${counted(lines.length, 'turn')}; ${firstOf(lines[0] ?? {}, 'reason')}. See: curfew cases --open`,
  },
  'order settled': {
    by: () => '',
    summary: (lines) =>
      `${counted(lines.length, 'order')} settled (${countsOf(lines, 'outcome')}). See: curfew history`,
  },
  'cancel request answered': {
    by: () => '',
    summary: (lines) => `${counted(lines.length, 'cancel request')} answered (${countsOf(lines, 'answer')})`,
  },
};

interface Waiting {
  readonly kind: Kind;
  readonly by: string;
  readonly message: string;
  readonly sinceMs: number;
  lastMs: number;
  level: 'info' | 'warn';
  readonly lines: LogRecord[];
}

/**
 * A log for people: what one scan finds in many sessions is one line for each policy, and what becomes of them is counted. A few
 * are said one by one. What is put together goes to `debug` as well, each by itself.
 *
 * @param log - where lines end up
 * @param rest - gets all other lines, and closes with this
 * @param now - monotonic, ms
 */
export function summarizeLines(
  log: Logger,
  rest: GroupedLogger,
  now: () => number = () => performance.now(),
): GroupedLogger {
  const waiting = new Map<string, Waiting>();
  const timer = setInterval(() => writeDue(), 500);
  timer.unref();

  function take(level: 'info' | 'warn', fields: LogRecord, message: string): void {
    const kind = Object.hasOwn(KINDS, message) ? KINDS[message] : undefined;
    if (kind === undefined) return rest[level](fields, message);
    const by = kind.by(fields);
    const key = JSON.stringify([level, message, by]);
    const group = waiting.get(key) ?? { kind, by, message, level, sinceMs: now(), lastMs: now(), lines: [] };
    waiting.set(key, group);
    group.lines.push(fields);
    group.lastMs = now();
  }

  function writeDue(all = false): void {
    for (const [key, group] of waiting) {
      const isOver = now() - group.lastMs >= QUIET_MS || now() - group.sinceMs >= LONGEST_MS;
      if (!all && !isOver) continue;
      waiting.delete(key);
      logAlone(() => writeOut(group));
    }
  }

  function writeOut({ kind, by, message, level, lines }: Waiting): void {
    const few = lines.length <= ONE_BY_ONE;
    for (const fields of lines) log[few ? level : 'debug'](fields, message);
    if (!few) log[level](kind.summary(lines, by));
  }

  const at =
    (level: 'info' | 'warn') =>
    (first: LogRecord | string, second = ''): void =>
      typeof first === 'string' ? rest[level](first) : take(level, first, second);
  return {
    debug: (first: LogRecord | string, second = '') => rest.debug(first, second),
    info: at('info'),
    warn: at('warn'),
    error: (first: LogRecord | string, second = '') => rest.error(first, second),
    close: () => {
      clearInterval(timer);
      writeDue(true);
      rest.close();
    },
  };
}

/** "max_runtime 404, max_session_credits 1", the most first. */
function countsOf(lines: readonly LogRecord[], field: string): string {
  const counts = new Map<string, number>();
  for (const fields of lines) {
    const name = text(fields[field]) || 'other';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

/** The one that is furthest over its limit. */
function worst(lines: readonly LogRecord[]): string {
  const over = ({ observed, limitValue }: LogRecord): number =>
    typeof observed === 'number' && typeof limitValue === 'number' && limitValue > 0 ? observed / limitValue : 0;
  const most = lines.reduce((one, other) => (over(other) > over(one) ? other : one));
  return firstOf(most, 'text');
}

/** What comes after the numbers is how exactly they are known. */
const firstOf = (fields: LogRecord, why: string): string =>
  `first: ${text(fields['sessionId'])} ${text(fields[why]).split(';', 1)[0] ?? ''}`.trimEnd();
