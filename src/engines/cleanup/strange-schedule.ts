import { cleanupScheduleId } from '../../core/contract.js';
import type { Stranger } from '../../adapters/temporal/stranger-notes.js';
import { shell } from '../../core/text/shell.js';

/** A Schedule that Curfew did not make, in the place of a cleanup's. */
export function strangeSchedule(name: string, namespace: string): Stranger {
  const id = cleanupScheduleId(name);
  return {
    id,
    says: `${name} does not run: Temporal has a Schedule of its name that Curfew did not make.`,
    next: `Delete that one, or rename the cleanup; a worker makes the right one within a minute. ${shell`temporal schedule delete --schedule-id ${id} --namespace ${namespace}`}`,
  };
}
