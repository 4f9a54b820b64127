import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Account } from '../support/account.js';

/** Another process on the same ledger; see `actor.ts` for the roles. */
export interface Actor {
  /** Lets it begin. */
  go(): void;
  /** The next thing it says. */
  hear(): Promise<unknown>;
  kill(signal: NodeJS.Signals): void;
  /** @throws {Error} with what it wrote to stderr, if it failed; killed ones did not fail */
  end(): Promise<void>;
}

/**
 * Starts an actor and waits until it is ready to begin, so that several can begin together.
 *
 * @param account - whom it acts as, if not as us
 */
export async function spawnActor(
  role: 'open' | 'migrate' | 'increment' | 'hold' | 'hang' | 'register',
  url: string,
  number = 0,
  account?: Account,
): Promise<Actor> {
  const args = [role, url, String(number), ...(account ? [String(account.uid), String(account.gid)] : [])];
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/ledger/actor.ts', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close');
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  const actor: Actor = {
    go: () => {
      child.stdin.write('go\n');
    },
    hear: async () => {
      const line = await lines.next();
      if (line.done === true) throw new Error(`The actor "${role}" ended early: ${complaint}`);
      return JSON.parse(line.value) as unknown;
    },
    kill: (signal) => {
      child.kill(signal);
    },
    end: async () => {
      await exited;
      if (child.exitCode !== 0 && child.signalCode === null)
        throw new Error(`The actor "${role}" failed: ${complaint}`);
    },
  };
  await actor.hear();
  return actor;
}
