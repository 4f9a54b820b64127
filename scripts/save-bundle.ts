/**
 * Keeps the workflow bundle of this build in test/bundles/, for test/workflows/upgrade.test.ts: from then on every later version
 * has to go on with what this one began. To be run for each release that is deployed:
 *
 *   npm run build && node --import tsx scripts/save-bundle.ts [NAME]
 *
 * NAME is by default the day (2026-11-22). A bundle that is there is never replaced: it stands for workers that run somewhere.
 * One may be removed when no workflow that it began is open anywhere, and nobody rolls back to it.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const place = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

const name = process.argv[2] ?? new Date().toISOString().slice(0, 10);
const target = place(`test/bundles/${name}.js.gz`);
const fail = (why: string): never => {
  console.error(why);
  process.exit(2);
};
if (!/^[\w.-]+$/.test(name)) fail(`"${name}" is no name for a file.`);
if (existsSync(target)) fail(`${target} exists already; give this release another name.`);
const bundle = place('dist/workflow-bundle.js');
if (!existsSync(bundle)) fail('There is no build: run `npm run build` first.');

mkdirSync(place('test/bundles'), { recursive: true });
writeFileSync(target, gzipSync(readFileSync(bundle), { level: 9 }), { flag: 'wx' });
console.log(`Saved ${target}.`);
