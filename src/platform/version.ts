import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** From package.json, which lies beside src, or beside dist. */
function readVersion(): string {
  for (const place of ['../../package.json', '../../../package.json']) {
    try {
      const text = readFileSync(fileURLToPath(new URL(place, import.meta.url)), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return '0.0.0';
}

export const VERSION = readVersion();
export const USER_AGENT = `curfew/${VERSION}`;
