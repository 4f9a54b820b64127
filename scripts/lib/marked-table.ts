import { format } from 'prettier';

/** A table that is made from the sources, between two comments in a page of documentation. */
export interface MarkedTable {
  /** "bounds" */
  readonly of: string;
  /** Whole sentence without its full stop: what makes it, and from what. */
  readonly made: string;
  /** Cells in Markdown, the heads first. */
  readonly rows: readonly (readonly string[])[];
}

/** The page with the table as it has to be now. @throws when the page has no place for it */
export async function withTable(page: string, { of, made, rows }: MarkedTable): Promise<string> {
  const [opening, closing] = [`<!-- ${made}. -->`, `<!-- End of the table of ${of}. -->`];
  const [begin, end] = [page.indexOf(opening), page.indexOf(closing)];
  if (begin < 0 || end < begin) throw new Error(`The page lacks ${opening} and ${closing}.`);
  const [heads = [], ...body] = rows.map((cells) => cells.map((cell) => cell.replaceAll('|', '\\|')));
  const lines = [heads, heads.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`);
  const whole = `${page.slice(0, begin)}${opening}\n\n${lines.join('\n')}\n\n${page.slice(end)}`;
  return format(whole, { parser: 'markdown', printWidth: 120 });
}
