import { spawnSync } from 'node:child_process';

export interface Verdict {
  readonly content: boolean;
  /** All that it wrote. */
  readonly says: string;
}

/** Runs `promtool`, which comes with Prometheus (on Debian and Ubuntu: `apt-get install prometheus`). */
export const promtool = (...args: readonly string[]): Verdict => run(args, '');

/** Has `promtool` look at what a worker serves. */
export const checkMetrics = (text: string): Verdict => run(['check', 'metrics'], text);

function run(args: readonly string[], input: string): Verdict {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  if (error !== undefined) {
    throw new Error('promtool is needed for these tests; on Debian and Ubuntu: apt-get install prometheus', {
      cause: error,
    });
  }
  return { content: status === 0, says: `${stdout}${stderr}` };
}
