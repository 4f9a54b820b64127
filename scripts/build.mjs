// Compiles TypeScript to dist/ and bundles the workflows there, so that a worker starts in about a second.
// Builds beside dist/ and swaps at the end: a failed build leaves the last good one, and nobody meets half a build.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [fresh, dist, old, compiled] = ['dist.new', 'dist', 'dist.old', 'dist.tsc'].map((name) => `${root}${name}`);
/** Packages of many small files that nearly every command needs: they go into the bundle, with their licences. */
const INLINED = ['csv-stringify', 'kysely', 'zod'];
const compiler = `${root}node_modules/typescript/bin/tsc`;
if (!existsSync(compiler)) {
  console.error(
    "Curfew can't be built without its packages of development, such as TypeScript; nothing was changed.\n" +
      'In a checkout run `npm ci`, which builds, and then `npm prune --omit=dev --ignore-scripts`. With a dist/ that was built elsewhere: `npm ci --omit=dev --ignore-scripts`.',
  );
  process.exit(1);
}
rmSync(fresh, { recursive: true, force: true });
rmSync(compiled, { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', compiled], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
// The command line in few files: reading hundreds takes longer than most commands have to do. A command loads only its own.
const { build } = await import('esbuild');
await build({
  absWorkingDir: root,
  entryPoints: { 'src/cli/main': 'src/cli/main.ts' },
  outdir: fresh,
  // All beside main.js: some sources look for files of the build from where they are.
  chunkNames: 'src/cli/[name]-[hash]',
  bundle: true,
  splitting: true,
  ...{ format: 'esm', platform: 'node', target: 'node20.3', charset: 'utf8' },
  external: Object.keys(dependencies).filter((name) => !INLINED.includes(name)),
  sourcemap: true,
  logLevel: 'warning',
});
chmodSync(`${fresh}/src/cli/main.js`, 0o755);
const licences = INLINED.map((name) => `${name}\n\n${readFileSync(`${root}node_modules/${name}/LICENSE`, 'utf8')}`);
writeFileSync(`${fresh}/LICENSES.txt`, licences.join('\n\n'));

const { bundleWorkflowCode } = await import('@temporalio/worker');
const quiet = () => {};
const { code } = await bundleWorkflowCode({
  workflowsPath: `${compiled}/workflows/index.js`,
  failureConverterPath: `${compiled}/workflows/failure-converter.js`,
  logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.warn, error: console.error },
});
writeFileSync(`${fresh}/workflow-bundle.js`, code);

// Loaded by its path, by Temporal's SDK.
const converter = 'src/adapters/codec/failure-converter.cjs';
cpSync(`${compiled}/${converter}`, `${fresh}/${converter}`);
rmSync(compiled, { recursive: true, force: true });

rmSync(old, { recursive: true, force: true });
if (existsSync(dist)) renameSync(dist, old);
renameSync(fresh, dist);
rmSync(old, { recursive: true, force: true });
