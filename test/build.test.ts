import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from '@jest/globals';

const SCRIPT = fileURLToPath(new URL('../scripts/build.mjs', import.meta.url));

let checkout: string;
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'curfew-build-'));
  cpSync(SCRIPT, join(checkout, 'scripts', 'build.mjs'));
});
afterEach(() => rmSync(checkout, { recursive: true, force: true }));

it('a build without the packages of development says what to do, and leaves what was built', () => {
  mkdirSync(join(checkout, 'dist'));
  writeFileSync(join(checkout, 'dist', 'kept'), '');
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(checkout, 'scripts', 'build.mjs')], {
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^Curfew can't be built .*\n.*`npm ci`.*`npm prune --omit=dev --ignore-scripts`.*\n$/);
  expect(existsSync(join(checkout, 'dist', 'kept'))).toBe(true);
});
