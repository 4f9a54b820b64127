/** What a worker's log has to read: JSON lines, and what Node itself says. */
export interface LogLines {
  readonly lines: number;
  /** Lines that name a session, of the session that has the most; those that name it among the first of many are not counted. */
  readonly mostOfOneSession: number;
  readonly byLevel: Readonly<Record<string, number>>;
  /** The messages that came most often. */
  readonly mostOften: Readonly<Record<string, number>>;
}

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };
const MESSAGES = 12;

export function linesIn(log: string): LogLines {
  const ofSession = new Map<string, number>();
  const byLevel = new Map<string, number>();
  const byMessage = new Map<string, number>();
  const count = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1);
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  for (const line of lines) {
    const { sessionId, level, msg } = parsed(line);
    if (typeof sessionId === 'string') count(ofSession, sessionId);
    count(byLevel, LEVELS[Number(level)] ?? 'other');
    count(byMessage, (typeof msg === 'string' ? msg : line).replace(/[\w-]*\d[\w-]*/g, '#').slice(0, 120));
  }
  const often = [...byMessage].sort(([, a], [, b]) => b - a).slice(0, MESSAGES);
  return {
    lines: lines.length,
    mostOfOneSession: Math.max(0, ...ofSession.values()),
    byLevel: Object.fromEntries(byLevel),
    mostOften: Object.fromEntries(often),
  };
}

function parsed(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}
