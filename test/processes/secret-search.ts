import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** All files in a folder and those below it. */
export const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());

/** A text as it is, and as base64 shows it at each of the three places where it can begin. */
export function formsOf(text: string): string[] {
  const encoded = [0, 1, 2].map((shift) => {
    const base64 = Buffer.from(`${'-'.repeat(shift)}${text}`).toString('base64');
    // The first and last digits also depend on what stands around.
    return base64.slice(4, -4);
  });
  return [text, text.toUpperCase(), ...encoded];
}
