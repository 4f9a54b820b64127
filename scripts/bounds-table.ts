/** Writes the table of bounds into docs/security.md. Run after a change of src/core/bounds.ts: `npx tsx scripts/bounds-table.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withBoundsTable } from './lib/bounds-table.js';

const target = fileURLToPath(new URL('../docs/security.md', import.meta.url));
writeFileSync(target, await withBoundsTable(readFileSync(target, 'utf8')));
