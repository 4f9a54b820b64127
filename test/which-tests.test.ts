import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What jest would run, as paths from the root. */
function listed(config: string): string[] {
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', jest, '--config', config, '--listTests', '--json'],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return (JSON.parse(stdout) as string[]).map((path) => relative(root, path)).sort();
}

/** A file and all of ours that it imports, by themselves or through others. */
function withImports(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const [, specifier = ''] of readFileSync(join(root, path), 'utf8').matchAll(/from '(\.{1,2}\/[^']+)\.js'/g)) {
    const imported = `${join(dirname(path), specifier)}.ts`;
    // A rule of the linter is plain JavaScript.
    if (existsSync(join(root, imported))) withImports(imported, seen);
  }
  return seen;
}

const everywhere = listed('jest.config.js');
const deploy = listed('jest.deploy.config.js');

it('every file of tests is run by `npm test` or by `npm run test:deploy`, and none by both', () => {
  // Everywhere but in what is installed or built.
  const folders = readdirSync(root, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !/^(\.git|node_modules|dist.*)$/.test(entry.name),
  );
  const files = folders
    .flatMap(({ name }) =>
      readdirSync(join(root, name), { recursive: true, encoding: 'utf8' }).map((path) => join(name, path)),
    )
    .filter((path) => path.endsWith('.test.ts'));
  expect(deploy.length).toBeGreaterThan(3);
  expect([...everywhere, ...deploy].sort()).toEqual(files.sort());
});

it('knows which suites to begin with: all of them are there', () => {
  const longest = JSON.parse(readFileSync(join(root, 'test/support/longest.json'), 'utf8')) as string[];
  expect(longest.filter((path) => ![...everywhere, ...deploy].includes(path))).toEqual([]);
});

it('`npm test` has no file that uses what `npm run test:deploy` is there for', () => {
  const needy = [
    ...readdirSync(join(root, 'test/deploy')).map((name) => join('test/deploy', name)),
    'test/support/cluster.ts',
  ];
  const users = everywhere.filter((path) => {
    const used = withImports(path);
    return needy.some((name) => used.has(name)) || /\binstalledPostgres\b/.test(readFileSync(join(root, path), 'utf8'));
  });
  expect(users).toEqual([]);
});
