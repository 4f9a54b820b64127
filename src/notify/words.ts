import { LONGEST_NAME, printable } from '../text/printable.js';

/** A text of others, in one line that no sign of it formats. */
export const plain = (text: string, most?: number): string => printable(text.replaceAll('`', "'"), most);

/** A name, set apart so that no character of it formats the text around it. */
export const quoted = (name: string): string => `\`${plain(name, LONGEST_NAME)}\``;

/** `2026-01-05 12:47:15 UTC` */
export const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
