import { toEnd } from '../core/bulk/totals.js';
import pc from 'picocolors';
import { rateWords } from '../core/bulk/rate.js';
import type { BulkStatus } from '../core/contract.js';
import type { BulkJob } from '../adapters/ledger/bulk-plans.js';
import type { PauseSwitch } from '../adapters/ledger/pause-switch.js';
import { planWords } from './bulk-plan-words.js';
import { count } from './bulk-words.js';
import { counted } from './words.js';
import { span } from './output.js';

/** What a plan holds, and what applying it now is going to do. */
export function intentWords(status: BulkStatus, pauseSwitch: PauseSwitch): string {
  return [planWords(status), pc.bold(paceIntent(status)), ...warnings(status, pauseSwitch)].join('\n\n');
}

function paceIntent(status: BulkStatus): string {
  const { rate, canary, fast } = status;
  const targets = toEnd(status);
  const first =
    canary === 0 || canary >= targets
      ? ''
      : ` ${canary === 1 ? '1 goes' : `${count(canary)} go`} first; if they go badly, the job pauses itself.`;
  const how = fast
    ? 'sends a cancel request to each'
    : 'reads each session, and ends its turn if it still is the planned one';
  return `Applying it ${how}, at most ${rateWords(rate)}: at least ${span((targets / rate) * 1_000)} for ${counted(targets, 'target')}.${first}`;
}

function warnings({ fast, evenIfExempt }: BulkStatus, pauseSwitch: PauseSwitch): string[] {
  const why = pauseSwitch.reason === null ? '' : ` (${pauseSwitch.reason})`;
  return [
    ...(fast
      ? [
          '--fast skips the read before each cancel: it may end a newer turn that began since the plan, and sends requests to sessions that ended meanwhile. Curfew does not always notice a turn ended by mistake.',
        ]
      : []),
    ...(evenIfExempt ? ['--even-if-exempt: exempt sessions are ended too.'] : []),
    ...(pauseSwitch.paused
      ? [`Curfew is paused${why}: the job is kept, and nothing leaves until \`curfew resume\`.`]
      : []),
  ].map((text) => pc.yellow(text));
}

/** The command that would make the same plan of what there is now, as far as it is known how it was asked for. */
export function planAnewCommand({ selection }: Pick<BulkJob, 'selection'>): string {
  const command = selection['command'];
  return typeof command === 'string' ? command : 'curfew bulk plan with the same options';
}
