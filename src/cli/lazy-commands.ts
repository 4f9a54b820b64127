import { Help, type Command } from 'commander';

/** A command as the help of its parent shows it; the rest is loaded when it is called. */
export interface DeclaredCommand {
  /** Name and arguments: `cancel <ids...>`. */
  readonly usage: string;
  readonly summary: string;
  /** Loads the module that has its options, help and code. One module may have several commands. */
  readonly load: () => Promise<(parent: Command) => void>;
}

/**
 * Declares the commands of a parent without loading any. Loading all of them takes a second, and `curfew pause` may have to stop
 * fifty requests a second.
 */
export function declareCommands(parent: Command, declared: readonly DeclaredCommand[]): void {
  const usages = new Map<string, string>();
  for (const { usage, summary } of declared) {
    const name = nameIn(usage);
    usages.set(name, usage);
    commandNamed(parent, name).summary(summary);
  }
  parent.configureHelp({
    ...parent.configureHelp(),
    // Children inherit it.
    subcommandTerm: (child) =>
      (child.parent === parent ? usages.get(child.name()) : null) ?? usual.subcommandTerm(child),
  });
  // Commander's own help command would show a command that is not loaded.
  parent
    .helpCommand(false)
    .command('help')
    .summary('display help for command')
    .argument('[command...]')
    .action(async (names: string[]) => {
      await rootOf(parent).parseAsync([...pathOf(parent), ...names, '--help'], { from: 'user' });
    });
  usages.set('help', 'help [command...]');
  const complete = completion(parent, declared);
  parent.hook('preSubcommand', (_parent, child) => complete(child.name()));
  completions.set(parent, async () => {
    for (const { usage } of declared) await complete(nameIn(usage));
  });
}

/** The command that was declared under this name, or a new one where none was. */
export const commandNamed = (parent: Command, name: string): Command =>
  parent.commands.find((child) => child.name() === name) ?? parent.command(name);

/** Loads every command: for those who look at all of them. */
export async function loadAllCommands(command: Command): Promise<Command> {
  await completions.get(command)?.();
  for (const child of command.commands) await loadAllCommands(child);
  return command;
}

const usual = new Help();
const completions = new WeakMap<Command, () => Promise<void>>();

const completion = (parent: Command, declared: readonly DeclaredCommand[]): ((name: string) => Promise<void>) => {
  const registered = new Set<(parent: Command) => void>();
  return async (name) => {
    const register = await declared.find(({ usage }) => nameIn(usage) === name)?.load();
    if (register === undefined || registered.has(register)) return;
    registered.add(register);
    register(parent);
    for (const child of parent.commands) takeJson(child);
  };
};

/** Every command takes what the program takes: `curfew cancel ID --json` is what people type. */
function takeJson(command: Command): void {
  if (command.name() === 'help') return;
  if (!command.options.some(({ long }) => long === '--json')) command.option('--json', 'print JSON on stdout');
  command.commands.forEach(takeJson);
}

const nameIn = (usage: string): string => usage.split(' ', 1)[0] ?? usage;
const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));
const pathOf = (command: Command): string[] =>
  command.parent === null ? [] : [...pathOf(command.parent), command.name()];
