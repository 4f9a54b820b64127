import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { jest } from '@jest/globals';
import { Command } from 'commander';
import { UserError } from '../../src/core/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';

/** How a command ended, and what it wrote; colours are taken out. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** A home with a ledger of its own, for commands that are run within this process. */
export interface CommandHome {
  readonly folder: string;
  readonly ledgerUrl: string;
  readonly ledger: Ledger;
  /** Runs a command. What a person can act on goes to stderr, as from the program. */
  run(...args: string[]): Promise<Said>;
  /** The same with `--json`. @throws {Error} with what it says, unless it ends with 0 */
  json<T>(...args: string[]): Promise<T>;
  close(): Promise<void>;
}

/**
 * Runs a command within this process, with the settings of this process.
 *
 * @param register - what the program has
 * @returns `error`: what the command threw; null: nothing
 */
export async function runHere(
  register: readonly ((program: Command) => void)[],
  args: readonly string[],
): Promise<Said & { readonly error: Error | null }> {
  let [stdout, stderr] = ['', ''];
  let error: Error | null = null;
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      stdout += String(text);
      return true;
    }),
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += String(text);
      return true;
    }),
  ];
  process.exitCode = undefined;
  try {
    await programOf(register).parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown;
    error = thrown;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  const exitCode = Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { stdout: stripVTControlCharacters(stdout), stderr: stripVTControlCharacters(stderr), exitCode, error };
}

/**
 * @param register - what the program has
 * @param more - settings besides those of home and ledger
 */
export async function openCommandHome(
  register: readonly ((program: Command) => void)[],
  more: Readonly<Record<string, string>> = {},
): Promise<CommandHome> {
  const saved = { ...process.env };
  const folder = mkdtempSync(join(tmpdir(), 'curfew-command-'));
  const ledgerUrl = join(folder, 'ledger.db');
  // Nobody listens there: these commands need no Temporal.
  const settings = { CURFEW_HOME: folder, CURFEW_DATABASE_URL: ledgerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1', ...more };
  Object.assign(process.env, settings);
  const ledger = await openLedger(ledgerUrl);
  const run = async (...args: string[]): Promise<Said> => {
    const { error, ...said } = await runHere(register, args);
    if (error === null) return said;
    if (!(error instanceof UserError)) throw error;
    const { message, next, exitCode } = error;
    return { ...said, stderr: `${said.stderr}${message}\n  next: ${next}\n`, exitCode };
  };
  return {
    ...{ folder, ledgerUrl, ledger, run },
    async json<T>(...args: string[]) {
      const { stdout, stderr, exitCode } = await run(...args, '--json');
      if (exitCode !== 0) throw new Error(`curfew ${args.join(' ')} ended with ${exitCode}:\n${stderr}`);
      return JSON.parse(stdout) as T;
    },
    async close() {
      await ledger.close();
      for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
      Object.assign(process.env, saved);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function programOf(register: readonly ((program: Command) => void)[]): Command {
  const program = new Command('curfew').option('--json').exitOverride();
  for (const one of register) one(program);
  for (const command of program.commands) {
    command.exitOverride().option('--json');
    for (const child of command.commands) child.exitOverride().option('--json');
  }
  return program;
}
