import type { Command } from 'commander';
import { registerBulkAbort } from './bulk-abort.js';
import { registerBulkApply } from './bulk-apply.js';
import { registerBulkIncidentReport } from './bulk-incident-report.js';
import { registerBulkPause } from './bulk-pause.js';
import { registerBulkPlan } from './bulk-plan.js';
import { registerBulkRate } from './bulk-rate.js';
import { registerBulkReport } from './bulk-report.js';
import { registerBulkResume } from './bulk-resume.js';
import { registerBulkStatus } from './bulk-status.js';

export function registerBulk(program: Command): void {
  const bulk = program
    .command('bulk')
    .summary('end many sessions at once: plan, apply, follow, steer, report')
    .description(
      'Ends the current turns of many sessions, safely: a plan freezes which, applying it ends exactly those, once, and a report says what became of each.',
    )
    .addHelpText(
      'after',
      `
In an incident:
  $ curfew bulk plan --agent support-bot --reason "incident 42"     what would be ended; ends nothing
  $ curfew bulk apply PLAN --wait                                   ends it, a few first
  $ curfew bulk pause PLAN                                          from another terminal: stop, look
  $ curfew bulk resume PLAN
  $ curfew bulk rate PLAN 50/s
  $ curfew bulk report PLAN                                         what ended, what did not, what to do`,
    );
  for (const register of [
    registerBulkPlan,
    registerBulkApply,
    registerBulkStatus,
    registerBulkPause,
    registerBulkResume,
    registerBulkAbort,
    registerBulkRate,
    registerBulkReport,
    registerBulkIncidentReport,
  ]) {
    register(bulk);
  }
}
