import Table from 'cli-table3';
import pc from 'picocolors';

/** Where a command writes. Results go to stdout, all else to stderr; with `--json` stdout holds one JSON document. */
export interface Output {
  readonly json: boolean;
  /** The result: as JSON, or in words for people. */
  result(document: unknown, forPeople: () => string): void;
  /** News while the command works. */
  say(text: string): void;
  /** Where lines can be rewritten: a person watches. */
  readonly live: boolean;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    live: process.stderr.isTTY === true,
    result(document, forPeople) {
      process.stdout.write(json ? `${JSON.stringify(document)}\n` : `${forPeople()}\n`);
    },
    say(text) {
      process.stderr.write(`${text}\n`);
    },
  };
}

/** A plain table without borders: easy to read, to grep and to paste. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' };
  const rest = { 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '' };
  const shape = new Table({
    head: head.map((title) => pc.bold(title)),
    chars: { ...none, ...rest, 'right-mid': '', middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  shape.push(...rows.map((row) => [...row]));
  return shape
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** "3 s", "12 min", "5 h", "2 d": whole units, as short as it can be said. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
