import type { BulkStatus } from '../core/contract.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { followedExitCode, followJob, type Followed } from './bulk-follow.js';
import { endWords, nextWords } from './bulk-words.js';
import { onInterrupt } from './interrupt.js';
import type { Output } from './output.js';

/**
 * Follows a job until it is over, stops itself, or the person leaves, and says how it ended.
 *
 * @param lines - with `--json`: a line per change, instead of one document at the end
 * @returns the exit code
 */
export async function followAndTell(
  ledger: Ledger,
  planId: string,
  out: Output,
  { lines }: { readonly lines: boolean },
): Promise<number> {
  const interrupt = onInterrupt();
  const asLines = lines && out.json;
  try {
    const followed = await followJob(ledger, planId, out, interrupt.signal, (status: BulkStatus) => {
      if (asLines) out.result(status, null, () => '');
    });
    const { status } = followed;
    if (asLines) tellAside(out, followed);
    else if (out.json) {
      tellAside(out, followed);
      out.result(status, null, () => '');
    } else out.result(status, followed, endingWords);
    return followedExitCode(followed);
  } finally {
    interrupt.dispose();
  }
}

/** Where stdout holds JSON alone. */
function tellAside(out: Output, followed: Followed): void {
  if (followed.ending !== 'over') out.show(followed, endingWords);
}

function endingWords({ status, ending }: Followed): string {
  const nowMs = Date.now();
  switch (ending) {
    case 'over':
      return endWords(status);
    case 'stopped':
      return [`${status.planId} stopped itself: ${status.note ?? 'it went badly'}`, nextWords(status, nowMs)].join(
        '\n',
      );
    case 'detached':
      return [`Stopped following; ${status.planId} continues.`, nextWords(status, nowMs)].join('\n');
  }
}
