import type { Logger } from '../../src/platform/telemetry.js';

export interface RecordedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly data: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log that keeps its lines. */
export class RecordingLog {
  readonly all: RecordedLine[] = [];

  readonly log: Logger = {
    debug: this.#at('debug'),
    info: this.#at('info'),
    warn: this.#at('warn'),
    error: this.#at('error'),
  };

  /** What stands there at the level `info`. */
  written(): RecordedLine[] {
    return this.all.filter(({ level }) => level !== 'debug');
  }

  /** Sessions that a line of their own is about, at any level, each once. */
  subjects(): string[] {
    return [
      ...new Set(this.all.flatMap(({ data: { sessionId } }) => (typeof sessionId === 'string' ? sessionId : []))),
    ];
  }

  /** Lines written, those that are told by their number included. */
  counted(): number {
    return this.written().reduce((sum, { data: { more } }) => sum + (typeof more === 'number' ? more : 1), 0);
  }

  #at(level: RecordedLine['level']): Logger['info'] {
    return (first: RecordedLine['data'] | string, second = '') => {
      const [data, message] = typeof first === 'string' ? [{}, first] : [first, second];
      this.all.push({ level, data, message });
    };
  }
}
