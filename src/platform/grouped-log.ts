import { fieldsOfNow, logAlone } from './log-context.js';
import type { Logger } from './telemetry.js';

type Level = 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;

interface Line {
  readonly level: Level;
  readonly fields: Fields;
  readonly message: string;
  /** Whom it is about: the id of a session or an agent. */
  readonly subject: string;
}

/** Lines of one kind since the last that was written. */
interface Group {
  untilMs: number;
  /** Not written yet: so few that each is. Null: there were more, and they are told by their number. */
  waiting: Line[] | null;
  more: number;
  firstSubjects: string[];
  last: Line | null;
}

/** Lines of one kind wait for each other so long, ms; after a flood, longer. */
const GROUP_MS = 5_000;
const FLOOD_MS = 60_000;
/** So many that have waited are written one by one. */
const ONE_BY_ONE = 2;
const SUBJECTS_NAMED = 5;
/** Kinds that are told apart at a time. What others say (a vendor's error texts, for one) is one more kind. */
const MOST_KINDS = 100;
/** What was said of a session is not said again until it was not to be said for so long, ms. */
const FORGET_AFTER_MS = 10 * 60_000;
const REMEMBERED = 10_000;
/** Lines of a case about what it goes through, beside those about its orders: what it was answered, and why it waits. */
const LINES_OF_A_CASE = 2;

export interface GroupedLogger extends Logger {
  /** Writes what waits, and looks no more for what has waited long enough. */
  close(this: void): void;
}

/**
 * A log that stays readable when something happens to very many sessions at once, or to one again and again.
 *
 * A line about a session or an agent is written at once if it is the first of its kind. Those that come in the next seconds are
 * written together: one by one if they are few, else as one line with their number and the first ids; all of them go to `debug`.
 * What is said again of the same session goes to `debug` too, and so does what a case goes through beyond two lines.
 *
 * Lines about no session and no agent go through as they are. Nothing but the log is thinned out: the ledger has each event.
 *
 * @param now - monotonic, ms
 */
export function groupLines(log: Logger, now: () => number = () => performance.now()): GroupedLogger {
  const groups = new Map<string, Group>();
  const said = createMemory<true>(now);
  const linesOfCases = createMemory<number>(now);
  const timer = setInterval(writeDue, 1_000);
  timer.unref();

  const write = ({ level, fields, message }: Line): void => logAlone(() => log[level](fields, message));
  const hide = ({ fields, message }: Line): void => log.debug(fields, message);

  function take(level: Level, data: Fields, message: string): void {
    writeDue();
    const fields = { ...fieldsOfNow(), ...data };
    const subject = fields['sessionId'] ?? fields['agentId'];
    if (typeof subject !== 'string') {
      log[level](data, message);
      return;
    }
    const line = { level, fields, message, subject };
    if (isRepeated(line, data) || isBeyondItsCase(line)) hide(line);
    else group(line);
  }

  /** Numbers differ each time (how long, how often), and are no news. */
  function isRepeated({ level, message, subject }: Line, data: Fields): boolean {
    const key = `${level} ${subject} ${kindOf(message, subject)} ${withoutNumbers(data)}`;
    const before = said.get(key) !== undefined;
    said.set(key, true);
    return before;
  }

  function isBeyondItsCase({ level, fields: { caseId, orderId } }: Line): boolean {
    if (typeof caseId !== 'string' || orderId !== undefined || level === 'error') return false;
    const lines = (linesOfCases.get(caseId) ?? 0) + 1;
    linesOfCases.set(caseId, lines);
    return lines > LINES_OF_A_CASE;
  }

  function group(line: Line): void {
    const kind = `${line.level} ${kindOf(line.message, line.subject)}`;
    const key = groups.has(kind) || groups.size < MOST_KINDS ? kind : line.level;
    const open = groups.get(key);
    if (open === undefined) {
      groups.set(key, newGroup(now() + GROUP_MS));
      write(line);
      return;
    }
    open.more += 1;
    open.last = line;
    if (open.firstSubjects.length < SUBJECTS_NAMED) open.firstSubjects.push(line.subject);
    if (open.waiting !== null && open.waiting.length < ONE_BY_ONE) {
      open.waiting.push(line);
      return;
    }
    for (const one of [...(open.waiting ?? []), line]) hide(one);
    open.waiting = null;
  }

  function writeDue(): void {
    const nowMs = now();
    for (const [key, group] of groups) {
      if (group.untilMs > nowMs) continue;
      groups.delete(key);
      if (group.more === 0) continue;
      groups.set(key, newGroup(nowMs + (group.waiting === null ? FLOOD_MS : GROUP_MS)));
      writeOut(group);
    }
  }

  function writeOut({ waiting, more, firstSubjects, last }: Group): void {
    if (waiting !== null) waiting.forEach(write);
    else if (last !== null) {
      const { message } = last;
      write({ ...last, fields: { more, first: firstSubjects }, message: `${more} more: ${message}` });
    }
  }

  const at =
    (level: Level) =>
    (first: Fields | string, second = ''): void =>
      typeof first === 'string' ? take(level, {}, first) : take(level, first, second);
  return {
    debug: (first: Fields | string, second = '') => log.debug(first, second),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    close: () => {
      clearInterval(timer);
      groups.forEach(writeOut);
      groups.clear();
    },
  };
}

const newGroup = (untilMs: number): Group => ({ untilMs, waiting: [], more: 0, firstSubjects: [], last: null });

/** The same text, whomever it is about, and whatever numbers and ids stand in it. */
const kindOf = (message: string, subject: string): string =>
  message.replaceAll(subject, '#').replace(/[\w-]*\d[\w-]*/g, '#');

function withoutNumbers(data: Fields): string {
  try {
    return JSON.stringify(data, (_, value: unknown) => {
      if (typeof value === 'number') return '#';
      return value instanceof Error ? value.message.replace(/\d+/g, '#') : value;
    });
  } catch {
    // Temporal's SDK logs what it has at hand, and not all of that can be JSON.
    return Object.keys(data).join();
  }
}

/** Remembers what was touched lately, and not more than it has room for. */
function createMemory<V>(now: () => number): { get(key: string): V | undefined; set(key: string, value: V): void } {
  const kept = new Map<string, { readonly value: V; readonly atMs: number }>();
  return {
    get: (key) => {
      const entry = kept.get(key);
      return entry !== undefined && now() - entry.atMs < FORGET_AFTER_MS ? entry.value : undefined;
    },
    set: (key, value) => {
      // To the end: the first is the one that was not touched for the longest time.
      kept.delete(key);
      kept.set(key, { value, atMs: now() });
      const [oldest] = kept.keys();
      if (kept.size > REMEMBERED && oldest !== undefined) kept.delete(oldest);
    },
  };
}
