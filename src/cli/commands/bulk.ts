import type { Command } from 'commander';
import { commandNamed, declareCommands, type DeclaredCommand } from '../lazy-commands.js';

const COMMANDS: readonly DeclaredCommand[] = [
  {
    usage: 'plan',
    summary: 'list the sessions to end, and freeze the list; ends nothing',
    load: async () => (await import('./bulk-plan.js')).registerBulkPlan,
  },
  {
    usage: 'apply <plan>',
    summary: 'end the sessions of a plan',
    load: async () => (await import('./bulk-apply.js')).registerBulkApply,
  },
  {
    usage: 'status [plan]',
    summary: 'the state of a plan or job; without one, the newest',
    load: async () => (await import('./bulk-status.js')).registerBulkStatus,
  },
  {
    usage: 'pause <plan>',
    summary: 'hold a job: nothing more is sent until resume',
    load: async () => (await import('./bulk-pause.js')).registerBulkPause,
  },
  {
    usage: 'resume <plan>',
    summary: 'resume a paused job',
    load: async () => (await import('./bulk-resume.js')).registerBulkResume,
  },
  {
    usage: 'abort <plan>',
    summary: 'stop a job for good; the rest stays untouched',
    load: async () => (await import('./bulk-abort.js')).registerBulkAbort,
  },
  {
    usage: 'rate <plan> <rate>',
    summary: 'change how many sessions a second a job starts, at most',
    load: async () => (await import('./bulk-rate.js')).registerBulkRate,
  },
  {
    usage: 'report <plan>',
    summary: 'what became of each target of a job',
    load: async () => (await import('./bulk-report.js')).registerBulkReport,
  },
  {
    usage: 'incident-report <plan>',
    summary: 'a job as a page of Markdown, for a post-mortem',
    load: async () => (await import('./bulk-incident-report.js')).registerBulkIncidentReport,
  },
];

export function registerBulk(program: Command): void {
  const bulk = commandNamed(program, 'bulk')
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
  declareCommands(bulk, COMMANDS);
}
