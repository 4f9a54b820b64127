import type { Readable } from 'node:stream';
import { TextDecoder } from 'node:util';
import { FILE_BOUNDS } from '../core/bounds.js';
import { ExitCode, UserError } from '../core/errors.js';
import { looksLikeUtf16 } from '../core/text/encoding.js';

/** No text has lines as long as this; what else has them could fill the memory. Bytes. */
export const LONGEST_LINE = FILE_BOUNDS.idsLine.most;

export interface NumberedLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

/** The lines of a text as they come, without their ends. @throws UserError for what is no text, with its line */
export async function* numbered(input: Readable, name: string): AsyncGenerator<NumberedLine> {
  let line = 0;
  let isFirst = true;
  for await (const some of wholeLines(input, name, () => line + 1)) {
    for (const text of textsOf(some, isFirst, line, name)) yield { line: (line += 1), text };
    isFirst = false;
  }
}

/** Bytes of one or more lines, up to the end of the last. */
async function* wholeLines(input: Readable, name: string, nextLine: () => number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  let isFirst = true;
  for await (const chunk of input) {
    const bytes = chunk as Buffer;
    if (isFirst && looksLikeUtf16(bytes)) throw inUtf16(name);
    isFirst = false;
    const end = bytes.lastIndexOf(NEWLINE);
    if (end >= 0) {
      yield Buffer.concat([...parts, bytes.subarray(0, end)]);
      parts = [];
      size = 0;
    }
    parts.push(bytes.subarray(end + 1));
    size += bytes.length - (end + 1);
    if (size > LONGEST_LINE) throw lineTooLong(name, nextLine());
  }
  const rest = Buffer.concat(parts);
  if (rest.length > 0) yield rest;
}

/** @param before - lines that came before these */
function textsOf(bytes: Buffer, isFirst: boolean, before: number, name: string): string[] {
  const text = decoded(bytes, isFirst);
  // In UTF-8 a line end is the same byte as in every text that is not.
  if (text === null) throw noText(name, before + 1 + linesOf(bytes).findIndex((line) => decoded(line, false) === null));
  const lines = text.split('\n');
  const odd = lines.findIndex((line) => line.includes('\0'));
  if (odd >= 0) throw noText(name, before + 1 + odd);
  const long = lines.findIndex((line) => line.length * 3 > LONGEST_LINE && Buffer.byteLength(line) > LONGEST_LINE);
  if (long >= 0) throw lineTooLong(name, before + 1 + long);
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
}

function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at <= bytes.length;) {
    const end = bytes.indexOf(NEWLINE, at);
    lines.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length + 1 : end + 1;
  }
  return lines;
}

const NEWLINE = 0x0a;
/** Keeps a byte order mark: only the first one of a text is none of its characters. */
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Null: it is not UTF-8. */
function decoded(bytes: Buffer, withoutMark: boolean): string | null {
  try {
    const text = UTF_8.decode(bytes);
    return withoutMark && text.startsWith('\uFEFF') ? text.slice(1) : text;
  } catch {
    return null;
  }
}

export const FORMS =
  'Write one id a line, JSON lines with sessionId, session_id or id, or CSV with a header that has one of these.';

const noText = (name: string, line: number): UserError =>
  new UserError(
    `${name} is not UTF-8 text: line ${line} holds bytes of another encoding, or binary data. No plan was made.`,
    `Save it as UTF-8. ${FORMS}`,
    ExitCode.usage,
  );

const lineTooLong = (name: string, line: number): UserError =>
  new UserError(
    `${name} is not text with lines: line ${line} has more than ${LONGEST_LINE} bytes. No plan was made.`,
    `Save it as UTF-8 with line ends. ${FORMS}`,
    ExitCode.usage,
  );

const inUtf16 = (name: string): UserError =>
  new UserError(
    `${name} is in UTF-16, but must be in UTF-8. No plan was made.`,
    `Save it as UTF-8. ${FORMS}`,
    ExitCode.usage,
  );
