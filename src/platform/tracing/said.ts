import { diag, DiagLogLevel } from '@opentelemetry/api';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import type { Logger } from '../telemetry.js';

/** A collector that is away fails every few seconds, with the same words. */
const SAME_WORDS_EVERY_MS = 60_000;

/** Puts what OpenTelemetry's SDK says of itself, which it otherwise says to nobody, into the log. */
export function hearTelemetry(log: Pick<Logger, 'warn'>, nowMs: () => number = () => performance.now()): void {
  const lastSaid = new Map<string, number>();
  const say = (text: string): void => {
    const now = nowMs();
    for (const [words, at] of lastSaid) if (now - at >= SAME_WORDS_EVERY_MS) lastSaid.delete(words);
    if (lastSaid.has(text)) return;
    lastSaid.set(text, now);
    log.warn(`OpenTelemetry: ${text}`);
  };
  const warn = (...parts: unknown[]): void => say(parts.map(textOf).join(' ').trim());
  const nothing = (): void => {};
  diag.setLogger(
    { error: warn, warn, info: nothing, debug: nothing, verbose: nothing },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => say(`Spans could not be sent, and are lost: ${textOf(error)}.`));
}

/** What an error says; nothing of other objects, because they may hold headers. */
function textOf(part: unknown): string {
  if (typeof part !== 'object' || part === null) return String(part);
  if (!(part instanceof Error)) return '';
  // Several addresses of a host that were tried in vain have no message; a collector's refusal has its status as code.
  const { code } = part as { code?: unknown };
  const words = [part.message, typeof code === 'string' || typeof code === 'number' ? String(code) : ''];
  return words.filter((text) => text !== '').join(' ') || 'unknown error';
}
