import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';

/**
 * A shell that runs the program and signals it when the shell's own standard input ends. So it also stops when we are
 * killed, which no exit handler would see. The shell ends with the program. It uses no other program: the user it runs as may
 * reach none.
 */
const HOLD =
  'signal=$1; shift; exec 3<&0; "$@" & held=$!; { while read -r _ <&3; do :; done; kill -$signal $held 2>/dev/null; } & exec 3<&-; wait $held';

/**
 * Starts a server that lives no longer than this process.
 *
 * @param signal - what stops it in good order
 */
export function spawnHeld(
  signal: 'INT' | 'TERM',
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env' | 'uid' | 'gid'> = {},
): ChildProcess {
  return spawn('/bin/sh', ['-c', HOLD, 'sh', signal, command, ...args], {
    ...options,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
}

/** Stops it, and waits until it is gone. */
export async function letGo(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const exited = once(holder, 'exit');
  holder.stdin?.end();
  await exited;
}
