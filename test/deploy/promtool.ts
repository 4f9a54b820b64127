import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));

/**
 * Runs `promtool`, which comes with Prometheus (on Debian and Ubuntu: `apt-get install prometheus`).
 *
 * @returns what it wrote, and whether it was content
 */
export function promtool(...args: readonly string[]): { readonly content: boolean; readonly says: string } {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8' });
  if (error !== undefined) {
    throw new Error('promtool is needed for these tests; on Debian and Ubuntu: apt-get install prometheus', {
      cause: error,
    });
  }
  return { content: status === 0, says: `${stdout}${stderr}` };
}
