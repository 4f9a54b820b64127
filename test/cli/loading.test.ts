import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { openLedger } from '../../src/adapters/ledger/ledger.js';
import { loadAllCommands } from '../../src/cli/lazy-commands.js';
import { createProgram } from '../../src/cli/program.js';

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const NOTING = new URL('../support/loaded-modules.mjs', import.meta.url).href;
const POLICY = `version: 1
policies:
  - name: night
    match: { agents: [support-*] }
    limits: { max_runtime: 1h }
    mode: observe
`;

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-loading-'));
  const ledger = await openLedger(join(folder, 'ledger.db'));
  await ledger.close();
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  writeFileSync(join(folder, 'policy-2.yaml'), POLICY.replace('1h', '2h'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Packages that a command loads, and how many files in all. */
function loaded(args: readonly string[]): { readonly packages: readonly string[]; readonly files: number } {
  const list = join(folder, 'loaded');
  rmSync(list, { force: true });
  const { error } = spawnSync(process.execPath, ['--import', NOTING, MAIN, ...args], {
    cwd: folder,
    env: {
      ...{ PATH: process.env['PATH'], HOME: folder, CURFEW_HOME: folder, LOADED_MODULES: list },
      CURFEW_DATABASE_URL: join(folder, 'ledger.db'),
    },
  });
  if (error !== undefined) throw error;
  const files = [...new Set(readFileSync(list, 'utf8').split('\n'))]
    .filter((line) => /^(file:|\/)/.test(line) && !line.includes('/test/support/'))
    .map((line) => line.replace(/^file:\/\//, ''));
  const named = files.flatMap((file) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  return { packages: [...new Set(named)].sort(), files: new Set(files).size };
}

/** They take a tenth of a second or more to load: clients and servers, and drivers of the other kind of ledger. */
const SLOW = /^(@temporalio\/|@grpc\/|@opentelemetry\/|protobufjs|got$|pg$|pino|fastify|log-update$|yaml$)/;

describe('a command loads what it needs, and no more', () => {
  it.each([
    ['--version', 40],
    ['--help', 40],
    ['bulk --help', 40],
    ['pause', 100],
    ['resume', 100],
    ['bulk pause b-2345678', 100],
    ['bulk incident-report b-2345678', 120],
    ['status', 120],
    ['history', 120],
    ['history --job b-2345678', 120],
    ['history --group-by agent', 120],
    ['cases', 120],
    ['cases sess_1 --evidence', 120],
    ['explain sess_1', 120],
    ['exempt sess_1 --for 1h --reason x', 120],
    ['exempt list', 120],
    ['policy list', 120],
    ['policy show', 120],
    ['policy diff', 120],
  ])('curfew %s', (command, most) => {
    const { packages, files } = loaded(command.split(' '));
    expect(packages).toContain('commander');
    expect(packages.filter((name) => SLOW.test(name))).toEqual([]);
    expect(files).toBeLessThan(most);
  });

  it('curfew policy check loads no ledger, vendor or Temporal', () => {
    const { packages } = loaded(['policy', 'check', 'policy.yaml']);
    expect(packages.filter((name) => name !== 'yaml' && SLOW.test(name))).toEqual([]);
    expect(packages).not.toContain('libsql');
  });

  it('curfew policy rollback reads a file, and loads no vendor or Temporal', () => {
    loaded(['policy', 'apply', 'policy.yaml', '--yes']);
    loaded(['policy', 'apply', 'policy-2.yaml', '--yes']);
    const { packages } = loaded(['policy', 'rollback', '--yes']);
    expect(packages.filter((name) => SLOW.test(name))).toEqual(['yaml']);
  });
});

describe('commands that are loaded when they are called', () => {
  const usageOf = (command: Command): string =>
    [
      command.name(),
      ...command.registeredArguments.map((argument) => {
        const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
        return argument.required ? `<${name}>` : `[${name}]`;
      }),
    ].join(' ');

  it('show in the help of their parent what they take', async () => {
    const program = await loadAllCommands(createProgram());
    const groups = [program, ...program.commands.filter((command) => ['bulk', 'policy'].includes(command.name()))];
    expect(groups).toHaveLength(3);
    for (const group of groups) {
      const help = group.createHelp();
      help.prepareContext({ helpWidth: 200 });
      const children = help.visibleCommands(group);
      expect(children.map((child) => help.subcommandTerm(child))).toEqual(children.map(usageOf));
    }
  });

  it('are all there, with help and --json', async () => {
    const program = await loadAllCommands(createProgram());
    const leaves = (command: Command): Command[] =>
      command.name() === 'help' ? [] : [command, ...command.commands.flatMap(leaves)];
    for (const command of leaves(program).slice(1)) {
      expect([command.name(), command.summary()]).not.toContain('');
      expect([command.name(), ...command.options.map(({ long }) => long)]).toContain('--json');
    }
  });

  it.each([
    ['help pause', 'pause --help'],
    ['help bulk plan', 'bulk plan --help'],
    ['bulk help plan', 'bulk plan --help'],
    ['help', '--help'],
  ])('curfew %s is curfew %s', (one, other) => {
    const [first, second] = [one, other].map((command) =>
      spawnSync(process.execPath, [MAIN, ...command.split(' ')], { encoding: 'utf8' }),
    );
    expect(second?.stdout).toContain('Usage: curfew');
    expect(first).toMatchObject({ stdout: second?.stdout, stderr: '', status: 0 });
  });
});
