// Compiles TypeScript to dist/ and bundles the workflows there, so that a worker starts in about a second.
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
chmodSync(`${root}/dist/src/cli/main.js`, 0o755);

const { bundleWorkflowCode } = await import('@temporalio/worker');
const quiet = () => {};
const { code } = await bundleWorkflowCode({
  workflowsPath: `${root}/dist/workflows/index.js`,
  logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.warn, error: console.error },
});
writeFileSync(`${root}/dist/workflow-bundle.js`, code);
