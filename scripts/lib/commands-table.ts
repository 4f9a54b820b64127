import type { Command } from 'commander';
import { loadAllCommands } from '../../src/cli/lazy-commands.js';
import { createProgram, EXIT_CODES } from '../../src/cli/program.js';
import { withTable } from './marked-table.js';

const MADE = 'Made from src/cli/program.ts by scripts/commands-table.ts';

/** Every command that does something by itself, with what comes before its name: "curfew bulk". */
const rowsOf = (command: Command, before: string): string[][] =>
  command.commands.flatMap((child) => {
    if (child.name() === 'help') return [];
    const name = `${before} ${child.name()}`;
    const words = child.registeredArguments.map((argument) => {
      const word = `${argument.name().toUpperCase()}${argument.variadic ? '…' : ''}`;
      return argument.required ? word : `[${word}]`;
    });
    const below = rowsOf(child, name);
    // A group of commands only shows their names.
    return child.commands.length > 0 && words.length === 0
      ? below
      : [[`\`${[name, ...words].join(' ')}\``, child.summary()], ...below];
  });

/** The page of commands with both tables as they have to be now. @throws when the page has no place for them */
export async function withCommandTables(page: string): Promise<string> {
  const commands = [['command', 'what it does'], ...rowsOf(await loadAllCommands(createProgram()), 'curfew')];
  const codes = [['exit code', 'meaning'], ...EXIT_CODES.map(([code, meaning]) => [String(code), meaning])];
  const withCommands = await withTable(page, { of: 'commands', made: MADE, rows: commands });
  return withTable(withCommands, { of: 'exit codes', made: `${MADE}, too`, rows: codes });
}
