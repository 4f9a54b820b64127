import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { loadAllCommands } from '../src/cli/lazy-commands.js';
import { createProgram } from '../src/cli/program.js';
import { loadConfig } from '../src/platform/config.js';
import { ExitCode, UserError } from '../src/core/errors.js';
import { childEnvironment } from '../src/adapters/temporal/run-command.js';

const URL_WITH_PASSWORD = 'postgres://curfew:s3cr3t-pass@db.test:5432/curfew';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'curfew-secrets-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const load = (env: Record<string, string>) => loadConfig({ HOME: folder, ...env }, folder);

describe('CURFEW_DATABASE_URL_FILE', () => {
  it('is read at start, without the white space around', () => {
    writeFileSync(join(folder, 'url'), `\n  ${URL_WITH_PASSWORD} \n`);
    expect(load({ CURFEW_DATABASE_URL_FILE: join(folder, 'url') }).databaseUrl).toBe(URL_WITH_PASSWORD);
  });

  it('counts as not set when it is empty', () => {
    expect(load({ CURFEW_DATABASE_URL_FILE: ' ', CURFEW_DATABASE_URL: '/tmp/x.db' }).databaseUrl).toBe('/tmp/x.db');
  });

  it.each<[string, () => Record<string, string>, RegExp]>([
    ['both are set', () => ({ CURFEW_DATABASE_URL: URL_WITH_PASSWORD, CURFEW_DATABASE_URL_FILE: '/x' }), /both set/],
    ['it is not there', () => ({ CURFEW_DATABASE_URL_FILE: join(folder, 'nowhere') }), /ENOENT/],
    ['it is empty', () => ({ CURFEW_DATABASE_URL_FILE: made('empty', ' \n') }), /it is empty/],
    ['it is a folder', () => ({ CURFEW_DATABASE_URL_FILE: folder }), /not a regular file/],
    ['it is far too large', () => ({ CURFEW_DATABASE_URL_FILE: made('large', 'x'.repeat(70_000)) }), /larger than/],
  ])('is refused when %s, without showing a secret', (_, env, words) => {
    let error: unknown;
    try {
      load(env());
    } catch (caught) {
      error = caught;
    }
    if (!(error instanceof UserError)) throw new Error('expected a UserError');
    expect(error.exitCode).toBe(ExitCode.usage);
    expect(error.message).toMatch(words);
    expect(error.message + error.next).not.toContain('s3cr3t');
  });
});

function made(name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe('secrets on the command line', () => {
  it('are an option or an argument of no command', async () => {
    const all = everyCommand(await loadAllCommands(createProgram()));
    expect(all.length).toBeGreaterThan(25);
    const options = all.flatMap((command) => [
      ...command.options.map(({ flags }) => `${command.name()} ${flags}`),
      ...command.registeredArguments.map((argument) => `${command.name()} ${argument.name()}`),
    ]);
    expect(options.length).toBeGreaterThan(60);
    expect(options.filter((option) => /key|token(?!s)|secret|passw|credential|auth|url\b/i.test(option))).toEqual([]);
  });

  it('are no part of the environment of processes that Curfew starts', () => {
    const settings = [
      'GUMLOOP_API_KEY',
      'CURFEW_DATABASE_URL',
      'TEMPORAL_API_KEY',
      'PGPASSWORD',
      'OTEL_EXPORTER_OTLP_HEADERS',
    ];
    const env = Object.fromEntries([...settings, 'PATH', 'HTTPS_PROXY'].map((name) => [name, 'x']));
    expect(childEnvironment(env)).toEqual({ PATH: 'x', HTTPS_PROXY: 'x' });
  });
});

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
