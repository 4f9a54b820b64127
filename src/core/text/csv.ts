import { stringify } from 'csv-stringify/sync';
import { visible, type Printable } from './printable.js';

/**
 * Spreadsheets run what begins with =, +, -, @, tab or return as a formula, and part of this text comes from whoever ordered,
 * named an agent or answered an error. Such cells get an apostrophe in front. A cell is one line without control characters, as
 * long as it is; JSON has the text itself.
 */
export const csv = (rows: readonly (readonly unknown[])[]): Printable =>
  stringify(
    rows.map((row) => row.map((cell) => (typeof cell === 'string' ? visible(cell) : cell))),
    { escape_formulas: true, record_delimiter: 'windows', quoted_match: /[\r\n]/ },
  ) as Printable;
