import { LONGEST_NAME, printable, words, type Printable, type Untrusted } from '../../core/text/printable.js';

/** A text of others, in one line that no sign of it formats. */
export const plain = (text: string | Untrusted, most?: number): Printable =>
  printable((text as string).replaceAll('`', "'"), most);

/** A name, set apart so that no character of it formats the text around it. */
export const quoted = (name: string | Untrusted): Printable => words`\`${plain(name, LONGEST_NAME)}\``;

/** `2026-01-05 12:47:15 UTC` */
export const moment = (ms: number): Printable =>
  plain(`${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`);
