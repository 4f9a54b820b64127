import { hostname } from 'node:os';
import { Option } from 'commander';
import { REQUEST_BOUNDS } from '../core/bounds.js';
import { ExitCode, UserError } from '../core/errors.js';
import { shortened, visible } from '../core/text/printable.js';
import { userName } from '../platform/user.js';

const LONGEST = REQUEST_BOUNDS.actor.most;

/** The option of every command that the ledger records. */
export const asOption = (): Option =>
  new Option('--as <name>', 'your name, recorded beside the system’s user; not checked. Default: CURFEW_ACTOR');

/** Who orders, as the ledger records it: claimed, not authenticated. */
export interface Claims {
  /** `--as`. */
  readonly as?: string | undefined;
  /** `CURFEW_ACTOR`. */
  readonly actor?: string | undefined;
}

/**
 * "root@host", or "ana (root@host)" for one who gives a name: in a container everybody is root. What the system says stands
 * last, so that no name can take its place.
 *
 * A setting that is too long is shortened: it may not keep anybody from a pause.
 *
 * @throws UserError with exit code 2 for an `--as` that is empty or too long
 */
export function requesterOf({ as, actor = '' }: Claims): string {
  const name = as === undefined ? shortened(visible(actor), LONGEST) : nameTyped(as);
  const system = `${userName()}@${hostname()}`;
  return name === '' ? system : `${name} (${system})`;
}

function nameTyped(text: string): string {
  const name = visible(text);
  if (name !== '' && shortened(name, LONGEST) === name) return name;
  throw new UserError(
    `--as ${name === '' ? 'is empty' : `has more than ${LONGEST} characters`}. Nothing was done.`,
    `Give a name of 1 to ${LONGEST} characters: --as ana`,
    ExitCode.usage,
  );
}
