// Compiles TypeScript to dist/ and bundles the workflows there, so that a worker starts in about a second.
// Builds beside dist/ and swaps at the end: a failed build leaves the last good one, and nobody meets half a build.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [fresh, dist, old] = [`${root}dist.new`, `${root}dist`, `${root}dist.old`];
const compiler = `${root}node_modules/typescript/bin/tsc`;
if (!existsSync(compiler)) {
  console.error(
    "Curfew can't be built without its packages of development, such as TypeScript; nothing was changed.\n" +
      'In a checkout run `npm ci`, which builds, and then `npm prune --omit=dev --ignore-scripts`. With a dist/ that was built elsewhere: `npm ci --omit=dev --ignore-scripts`.',
  );
  process.exit(1);
}
rmSync(fresh, { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', fresh], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
chmodSync(`${fresh}/src/cli/main.js`, 0o755);

const { bundleWorkflowCode } = await import('@temporalio/worker');
const quiet = () => {};
const { code } = await bundleWorkflowCode({
  workflowsPath: `${fresh}/workflows/index.js`,
  failureConverterPath: `${fresh}/workflows/failure-converter.js`,
  logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.warn, error: console.error },
});
writeFileSync(`${fresh}/workflow-bundle.js`, code);

rmSync(old, { recursive: true, force: true });
if (existsSync(dist)) renameSync(dist, old);
renameSync(fresh, dist);
rmSync(old, { recursive: true, force: true });
