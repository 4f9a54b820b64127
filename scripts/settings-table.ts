/** Writes the table of settings into docs/settings.md. Run after a change of src/platform/settings.ts: `npx tsx scripts/settings-table.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withSettingsTable } from './lib/settings-table.js';

const target = fileURLToPath(new URL('../docs/settings.md', import.meta.url));
writeFileSync(target, await withSettingsTable(readFileSync(target, 'utf8')));
