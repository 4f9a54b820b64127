import { once } from 'node:events';
import { joined, printableJson, words, type Printable } from '../core/text/printable.js';

/** One JSON document a line. */
export const jsonLines = (documents: readonly unknown[]): Printable =>
  joined(
    documents.map((document) => words`${printableJson(document)}\n`),
    '',
  );

/** Writes pages to stdout as they come, no faster than they are read. */
export async function writePages<T>(
  pages: AsyncGenerator<T[]>,
  header: Printable | '',
  textOf: (page: readonly T[]) => Printable | '',
): Promise<void> {
  await write(header);
  for await (const page of pages) {
    // Whoever reads has enough, as with `| head`.
    if (!(await write(textOf(page)))) return;
  }
}

/** Waits for slow readers, so that what is not read yet fills no memory. @returns false when nobody reads any more */
async function write(text: Printable | ''): Promise<boolean> {
  if (text === '' || process.stdout.destroyed) return !process.stdout.destroyed;
  if (!process.stdout.write(text)) {
    await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]).catch(() => {});
  }
  return process.stdout.writable;
}
