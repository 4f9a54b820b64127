// Writes the bill of materials of what is shipped, as CycloneDX JSON: dist/sbom.cdx.json, or where the argument says.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingFromSbom, shippedOnly } from './lib/packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = process.argv[2] ?? `${root}dist/sbom.cdx.json`;
const npm = spawnSync('npm', ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 64 * 1024 * 1024,
  shell: process.platform === 'win32',
});
if (npm.status !== 0) {
  console.error(npm.error?.message ?? npm.stderr);
  process.exit(1);
}
const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8'));
const sbom = shippedOnly(JSON.parse(npm.stdout), lock);
// Never a file that says less than it seems to.
const missing = missingFromSbom(sbom, lock);
if (missing.length > 0) {
  console.error(`npm left out of the bill of materials: ${missing.join(', ')}`);
  process.exit(1);
}
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`${target}: ${sbom.components.length} components`);
