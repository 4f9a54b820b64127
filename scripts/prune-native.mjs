// Removes from node_modules what no process on this platform loads: native binaries for others, and the Rust sources that
// come with Temporal's. For images; run it where the image will run. It looks for each binary first and removes nothing
// when one is not found, so a package that changes its layout stops the build instead of breaking the worker.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const root = resolve(process.argv[2] ?? '.');
const require = createRequire(join(root, 'package.json'));
const bridge = join(root, 'node_modules/@temporalio/core-bridge');
const libsql = join(root, 'node_modules/@libsql');

const { getPrebuiltTargetName } = require('@temporalio/core-bridge/common.js');
const isGlibc = 'glibcVersionRuntime' in process.report.getReport().header;
const libsqlTarget = {
  linux: `linux-${process.arch}-${isGlibc ? 'gnu' : 'musl'}`,
  darwin: `darwin-${process.arch}`,
  win32: `win32-${process.arch}-msvc`,
}[process.platform];
const kept = [join(bridge, 'releases', getPrebuiltTargetName()), join(libsql, `${libsqlTarget}`)];
const missing = kept.filter((folder) => !existsSync(join(folder, 'index.node')));
if (missing.length > 0) {
  console.error(`Nothing was removed: no index.node in ${missing.join(' and ')}.`);
  process.exit(1);
}

const entries = (folder) => readdirSync(folder).map((name) => join(folder, name));
const removed = [
  ...[...entries(join(bridge, 'releases')), ...entries(libsql)].filter((folder) => !kept.includes(folder)),
  ...['sdk-core', 'src', 'Cargo.toml', 'Cargo.lock'].map((name) => join(bridge, name)),
];
for (const path of removed) rmSync(path, { recursive: true, force: true });
console.log(`kept ${kept.join(', ')}; removed ${removed.length} others`);
