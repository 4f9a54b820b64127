import { Command } from 'commander';
import { ExitCode } from '../core/errors.js';
import { terminalText } from '../core/text/printable.js';
import { VERSION } from '../platform/version.js';
import { INTERRUPTED } from './interrupt.js';
import { declareCommands, type DeclaredCommand } from './lazy-commands.js';

/** What each exit code means, for people. */
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [ExitCode.done, 'done'],
  [ExitCode.failed, 'failed'],
  [ExitCode.usage, 'wrong usage, or an invalid setting or file'],
  [ExitCode.refused, 'refused by a safety rule'],
  [ExitCode.unreachable, 'Temporal, the API or the ledger can’t be reached, or no worker runs'],
  [ExitCode.someNotEnded, 'finished, but some ordered turn is not known to have ended'],
  [INTERRUPTED, 'interrupted; what was ordered goes on'],
];

const COMMANDS: readonly DeclaredCommand[] = [
  {
    usage: 'demo',
    summary: 'the whole story on a simulator, no key needed',
    load: async () => (await import('./commands/demo.js')).registerDemo,
  },
  {
    usage: 'up [file]',
    summary: 'start Curfew: a worker, and Temporal if none is configured; puts FILE in force',
    load: async () => (await import('./commands/up.js')).registerUp,
  },
  {
    usage: 'worker',
    summary: 'start only a worker, for a Temporal that is already running',
    load: async () => (await import('./commands/up.js')).registerUp,
  },
  {
    usage: 'cancel <ids...>',
    summary: 'order the end of the current turn of each session',
    load: async () => (await import('./commands/cancel.js')).registerCancel,
  },
  {
    usage: 'watch <id>',
    summary: 'watch one session, and end a turn that breaks a limit',
    load: async () => (await import('./commands/watch.js')).registerWatch,
  },
  {
    usage: 'cases [id]',
    summary: 'open and recent cases',
    load: async () => (await import('./commands/cases.js')).registerCases,
  },
  {
    usage: 'bulk',
    summary: 'end many sessions at once: plan, apply, follow, steer, report',
    load: async () => (await import('./commands/bulk.js')).registerBulk,
  },
  {
    usage: 'cleanup',
    summary: 'cleanups of the policy file: when they run, and run one now',
    load: async () => (await import('./commands/cleanup.js')).registerCleanup,
  },
  {
    usage: 'pause',
    summary: 'no cancel request leaves until `curfew resume`',
    load: async () => (await import('./commands/pause.js')).registerPause,
  },
  {
    usage: 'resume',
    summary: 'cancel requests may leave again',
    load: async () => (await import('./commands/pause.js')).registerPause,
  },
  {
    usage: 'exempt [id]',
    summary: 'leave a session alone for a while; without an id, list exemptions',
    load: async () => (await import('./commands/exempt.js')).registerExempt,
  },
  {
    usage: 'unexempt <id>',
    summary: 'end an exemption',
    load: async () => (await import('./commands/exempt.js')).registerExempt,
  },
  {
    usage: 'status',
    summary: 'what is in force, what is happening, which sessions are near their limits',
    load: async () => (await import('./commands/status.js')).registerStatus,
  },
  {
    usage: 'explain <id>',
    summary: 'what each policy says about a session, and when it would end',
    load: async () => (await import('./commands/explain.js')).registerExplain,
  },
  {
    usage: 'history',
    summary: 'who ended what, when, why, and by which rule version',
    load: async () => (await import('./commands/history.js')).registerHistory,
  },
  {
    usage: 'policy',
    summary: 'check a policy file, see what it would do, put it in force; versions',
    load: async () => (await import('./commands/policy.js')).registerPolicy,
  },
  {
    usage: 'backup <file>',
    summary: 'copy the ledger, while Curfew runs',
    load: async () => (await import('./commands/backup.js')).registerBackup,
  },
  {
    usage: 'migrate',
    summary: "bring the ledger's tables up to date, without starting a worker",
    load: async () => (await import('./commands/migrate.js')).registerMigrate,
  },
  {
    usage: 'doctor',
    summary: 'check key, API, Temporal, ledger, clock and notifications',
    load: async () => (await import('./commands/doctor.js')).registerDoctor,
  },
  {
    usage: 'simulate',
    summary: 'a Gumloop to practise on',
    load: async () => (await import('./commands/simulate.js')).registerSimulate,
  },
  {
    usage: 'codec-server',
    summary: 'decrypt payloads for Temporal’s UI and CLI',
    load: async () => (await import('./commands/codec-server.js')).registerCodecServer,
  },
];

/** The whole command line; each command is loaded when it is called. */
export function createProgram(): Command {
  const program = new Command('curfew')
    .description('Ends Gumloop agent sessions that broke a limit, and makes sure that they really ended.')
    .version(VERSION)
    .option('--json', 'print one JSON document on stdout, and nothing else there')
    .showHelpAfterError('(curfew --help shows the commands)')
    .exitOverride()
    // What was typed wrong is quoted.
    .configureOutput({
      writeErr: (text) => void process.stderr.write(terminalText(text)),
      writeOut: (text) => void process.stdout.write(terminalText(text)),
    })
    .addHelpText(
      'after',
      `
Examples:
  $ curfew demo                               the whole story on a simulator, no key needed
  $ curfew up                                 start Curfew here; leave it running
  $ curfew cancel sess_xYz789AbCd --wait      end the current turn of a session, and check that it ended
  $ curfew pause --reason "incident 42"       no cancel request leaves until \`curfew resume\`

Exit codes:
${EXIT_CODES.map(([code, meaning]) => `  ${String(code).padEnd(4)}${meaning}`).join('\n')}`,
    );

  declareCommands(program, COMMANDS);
  return program;
}
