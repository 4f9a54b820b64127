import { wantProbe, readHold } from '../adapters/ledger/hold-mark.js';
import { startRefusal } from '../adapters/temporal/start-refusal.js';
import { ExitCode, UserError } from '../core/errors.js';
import { shell } from '../core/text/shell.js';
import type { CommandContext } from './context.js';
import { withControlPlane } from './control-plane.js';
import { noOrderOpen } from './no-order-open.js';
import { retriedWords } from './words.js';

/** How long to wait for a worker to take a lost case up, ms. */
const JOIN_PATIENCE_MS = 8_000;

/** @throws UserError with exit code 1 when no order is open, 4 when Temporal does not take the case up */
export async function retryCase(sessionId: string, { config, out }: CommandContext): Promise<void> {
  await withControlPlane(config, async (plane) => {
    const [open] = await plane.ledger.orders.views({ sessionId, openOnly: true, limit: 1 });
    if (open === undefined) throw noOrderOpen(sessionId);
    if ((await readHold(plane.ledger)) !== null) await wantProbe(plane.ledger);
    try {
      const going = await plane.cases.retryNow(sessionId);
      if (!going) await plane.cases.join(sessionId, open.orderId, JOIN_PATIENCE_MS);
    } catch (error) {
      const refusal = startRefusal(error);
      throw new UserError(
        refusal === null
          ? `Temporal did not answer in time. The order on ${sessionId} stays open.`
          : `Temporal does not start the case of ${sessionId}: ${refusal}. Its order stays open, and nothing is sent for it.`,
        `A worker tries again each minute; \`curfew doctor\` shows what is wrong. To give it up: ${shell`curfew cases abandon ${sessionId} --reason "…"`}`,
        ExitCode.unreachable,
      );
    }
    const { phase, nextTryAtMs } = open;
    out.result({ sessionId, retried: true }, { sessionId, phase, nextTryAtMs }, retriedWords);
  });
}
