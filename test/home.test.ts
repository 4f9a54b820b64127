import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../src/errors.js';
import { cacheDir, homePaths, prepareHome, resolveHome } from '../src/home.js';

describe('the home folder', () => {
  it.each([
    ['linux', { HOME: '/home/ann' }, '/home/ann/.local/state/curfew', '/home/ann/.cache/curfew'],
    ['linux', { HOME: '/home/ann', XDG_STATE_HOME: '/s', XDG_CACHE_HOME: '/c' }, '/s/curfew', '/c/curfew'],
    [
      'darwin',
      { HOME: '/Users/ann' },
      '/Users/ann/Library/Application Support/curfew',
      '/Users/ann/Library/Caches/curfew',
    ],
    ['win32', { LOCALAPPDATA: '/local' }, '/local/curfew', '/local/curfew/Cache'],
    ['win32', { USERPROFILE: '/ann' }, '/ann/AppData/Local/curfew', '/ann/AppData/Local/curfew/Cache'],
  ] as const)('lies where the platform keeps state (%s, %o)', (platform, env, home, cache) => {
    expect(resolveHome(env, platform)).toBe(home);
    expect(cacheDir(env, platform)).toBe(cache);
  });

  it('ignores XDG folders that are relative, as the specification demands', () => {
    const env = { HOME: '/home/ann', XDG_STATE_HOME: 'state', XDG_CACHE_HOME: 'cache' };
    expect(resolveHome(env, 'linux')).toBe('/home/ann/.local/state/curfew');
    expect(cacheDir(env, 'linux')).toBe('/home/ann/.cache/curfew');
  });

  it('is absolute even without HOME', () => {
    expect(isAbsolute(resolveHome({}))).toBe(true);
    expect(isAbsolute(cacheDir({}))).toBe(true);
  });

  it('is CURFEW_HOME when that is set, and the default when it is empty', () => {
    expect(resolveHome({ CURFEW_HOME: '/srv/curfew', HOME: '/home/ann' }, 'linux')).toBe('/srv/curfew');
    expect(resolveHome({ CURFEW_HOME: '', HOME: '/home/ann' }, 'linux')).toBe('/home/ann/.local/state/curfew');
  });

  it('refuses a relative CURFEW_HOME', () => {
    expect(() => resolveHome({ CURFEW_HOME: './here' })).toThrow(
      expect.objectContaining({ exitCode: ExitCode.usage, message: expect.stringContaining('./here') }),
    );
  });
});

describe('preparing the home folder', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'curfew-home-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('makes it with its parents, for its user alone', async () => {
    const home = join(folder, 'a', 'b');
    await prepareHome(home);
    await prepareHome(home);
    expect(statSync(home).mode & 0o777).toBe(0o700);
    expect(homePaths(home).ledger).toBe(join(home, 'ledger.db'));
  });

  it('says which folder it was and how to choose another when it can not be made', async () => {
    writeFileSync(join(folder, 'file'), '');
    const home = join(folder, 'file', 'home');
    await expect(prepareHome(home)).rejects.toMatchObject({
      exitCode: ExitCode.unreachable,
      message: expect.stringContaining(`${home} can't be written (ENOTDIR)`) as unknown,
      next: expect.stringContaining('CURFEW_HOME') as unknown,
    });
  });
});
