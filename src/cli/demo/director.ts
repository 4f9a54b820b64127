import { shellWord } from '../../core/text/shell.js';
import { setTimeout as sleep } from 'node:timers/promises';
import pc from 'picocolors';
import { UserError } from '../../core/errors.js';
import type { Output } from '../output.js';
import type { Stage } from './stage.js';

/** A hang limit, ms. */
const PATIENCE_MS = 120_000;

/** What the acts are played with. */
export interface Director {
  readonly stage: Stage;
  readonly out: Output;
  /** A headline. */
  readonly scene: (text: string) => void;
  /** Shows a command and runs it, as a person would. */
  readonly curfew: (...args: string[]) => Promise<number>;
  /** @throws UserError when it does not come true in time */
  readonly until: (condition: () => boolean | Promise<boolean>, what: string) => Promise<void>;
  readonly pause: (ms: number) => Promise<void>;
  /** Ends what would wait for ever. */
  readonly patience: () => AbortSignal;
}

export function createDirector(stage: Stage, out: Output, signal: AbortSignal): Director {
  return {
    stage,
    out,
    scene: (text) => out.show(text, (title) => `\n${pc.bold(title)}`),
    async curfew(...args) {
      signal.throwIfAborted();
      out.show(args, (words) =>
        pc.cyan(`$ curfew ${words.map((word) => (word.startsWith('--') ? word : shellWord(word))).join(' ')}`),
      );
      return stage.run(args);
    },
    async until(condition, what) {
      const deadline = Date.now() + PATIENCE_MS;
      while (!(await condition())) {
        signal.throwIfAborted();
        if (Date.now() > deadline)
          throw new UserError(`The demo waited in vain for ${what}.`, 'Try again; `curfew doctor` checks the parts.');
        await sleep(100, undefined, { signal });
      }
    },
    pause: (ms) => sleep(ms, undefined, { signal }),
    patience: () => AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
  };
}
