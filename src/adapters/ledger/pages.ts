/** Rows per statement: what is long is read in pages, so that its length takes no memory and holds nobody up. */
export const PAGE = 500;

/**
 * Reads in pages, each begun behind the last row of the one before: what is written meanwhile moves nothing.
 *
 * @param read - reads at most {@link PAGE} rows behind the one given; null: from the beginning
 */
export async function* pagesOf<Row>(read: (last: Row | null) => Promise<Row[]>): AsyncGenerator<Row[]> {
  let last: Row | null = null;
  for (;;) {
    const rows: Row[] = await read(last);
    if (rows.length > 0) yield rows;
    last = rows.at(-1) ?? null;
    if (rows.length < PAGE) return;
  }
}
