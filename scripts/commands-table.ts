/** Writes the tables of commands and exit codes into docs/commands.md. Run after a change of either: `npx tsx scripts/commands-table.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withCommandTables } from './lib/commands-table.js';

const target = fileURLToPath(new URL('../docs/commands.md', import.meta.url));
writeFileSync(target, await withCommandTables(readFileSync(target, 'utf8')));
