import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/platform/config.js';
import { DEFAULT_API_BASE_URL } from '../src/platform/settings.js';
import { ExitCode, UserError } from '../src/core/errors.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const withDotEnv = (text: string, env: Record<string, string> = {}) => {
  writeFileSync(join(folder, '.env'), text);
  return loadConfig({ CURFEW_HOME: folder, ...env }, folder);
};

function refusal(read: () => unknown): UserError {
  try {
    read();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('settings', () => {
  it('have defaults for everything but the key', () => {
    const config = loadConfig({ CURFEW_HOME: folder }, folder);
    expect(config).toMatchObject({ home: folder, databaseUrl: join(folder, 'ledger.db'), logLevel: 'info' });
    expect(config.apiBaseUrl).toBe(DEFAULT_API_BASE_URL);
    expect(config.timing).toMatchObject({ alertAfterMs: 300_000, giveUpAfterMs: 86_400_000 });
  });

  it('come from .env in the folder, and the environment wins', () => {
    const config = withDotEnv('# a comment\nexport CURFEW_LOG="warn"\nCURFEW_ALERT_AFTER=90s\n', {
      CURFEW_ALERT_AFTER: '2m',
    });
    expect(config.logLevel).toBe('warn');
    expect(config.timing.alertAfterMs).toBe(120_000);
  });

  it('may span lines in quotes', () => {
    expect(withDotEnv('A="first\nsecond = no setting\n"\nCURFEW_LOG=error\n').logLevel).toBe('error');
  });

  it.each([
    ['a line that is no setting', 'CURFEW_LOG=info\nthis is broken\n', 2],
    ['a quote that is never closed', 'A=1\n\nB="open\nC=2\n', 3],
  ])('refuse a .env with %s, and name the line', (_what, text, line) => {
    const error = refusal(() => withDotEnv(text));
    expect(error.exitCode).toBe(ExitCode.usage);
    expect(error.message).toContain(`line ${line}`);
    expect(error.message).toContain(folder);
  });

  it('never repeat a broken line, because it may hold a key', () => {
    const error = refusal(() => withDotEnv('GUMLOOP_API_KEY secret-value\n'));
    expect(`${error.message} ${error.next}`).not.toContain('secret-value');
  });

  it('refuse a .env that is no file', () => {
    mkdirSync(join(folder, '.env'));
    expect(refusal(() => loadConfig({ CURFEW_HOME: folder }, folder)).message).toContain('EISDIR');
  });

  it.each([
    ['CURFEW_LOG', 'loud'],
    ['CURFEW_ALERT_AFTER', '5'],
    ['CURFEW_ALERT_AFTER', '10ms'],
    ['CURFEW_GIVE_UP_AFTER', 'a while'],
    ['CURFEW_REQUESTS_PER_SECOND', '0'],
    ['CURFEW_REQUESTS_PER_SECOND', '1.5'],
  ])('refuse %s=%s with its name and an example', (name, value) => {
    const error = refusal(() => loadConfig({ CURFEW_HOME: folder, [name]: value }, folder));
    expect(error.exitCode).toBe(ExitCode.usage);
    expect(error.message).toContain(name);
    expect(error.message).toContain(value);
  });
});
