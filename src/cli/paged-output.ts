import { once } from 'node:events';
import { printableJson } from '../text/printable.js';

/** One JSON document a line. */
export const jsonLines = (documents: readonly unknown[]): string =>
  documents.map((document) => `${printableJson(document)}\n`).join('');

/** Writes pages to stdout as they come, no faster than they are read. */
export async function writePages<T>(
  pages: AsyncGenerator<T[]>,
  header: string,
  textOf: (page: readonly T[]) => string,
): Promise<void> {
  await write(header);
  for await (const page of pages) {
    // Whoever reads has enough, as with `| head`.
    if (!(await write(textOf(page)))) return;
  }
}

/** Waits for slow readers, so that what is not read yet fills no memory. @returns false when nobody reads any more */
export async function write(text: string): Promise<boolean> {
  if (text === '' || process.stdout.destroyed) return !process.stdout.destroyed;
  if (!process.stdout.write(text)) {
    await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]).catch(() => {});
  }
  return process.stdout.writable;
}
