import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';

const SCRIPT = fileURLToPath(new URL('../../scripts/check-compose.sh', import.meta.url));

it('docker-compose.yml keeps to the Compose specification, and to our rules', async () => {
  const { stdout, stderr } = await promisify(execFile)('bash', [SCRIPT]).catch(
    // A failure has both, too.
    (error: unknown) => error as { stdout: string; stderr: string },
  );
  expect(stdout + stderr).toMatch(/\n([2-9]|\d\d+) passed, 0 failed\n$/);
}, 600_000);
