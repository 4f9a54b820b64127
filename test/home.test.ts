import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../src/core/errors.js';
import { cacheDir, homePaths, prepareHome, resolveHome } from '../src/platform/home.js';

const linux = { platform: 'linux' } as const;

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
    expect(resolveHome(env, { platform })).toBe(home);
    expect(cacheDir(env, { platform })).toBe(cache);
  });

  it('ignores XDG folders that are relative, as the specification demands', () => {
    const env = { HOME: '/home/ann', XDG_STATE_HOME: 'state', XDG_CACHE_HOME: 'cache' };
    expect(resolveHome(env, linux)).toBe('/home/ann/.local/state/curfew');
    expect(cacheDir(env, linux)).toBe('/home/ann/.cache/curfew');
  });

  it.each([{}, { HOME: '' }, { HOME: 'relative' }])('is absolute even with the environment %o', (env) => {
    expect(isAbsolute(resolveHome(env))).toBe(true);
    expect(isAbsolute(cacheDir(env))).toBe(true);
  });

  describe('of a user without one, as a container may have', () => {
    const nobody = { platform: 'linux', ofUser: () => null } as const;

    it('is CURFEW_HOME, with the cache in it', () => {
      const env = { CURFEW_HOME: '/srv/curfew' };
      expect(resolveHome(env, nobody)).toBe('/srv/curfew');
      expect(cacheDir(env, nobody)).toBe('/srv/curfew/cache');
    });

    it('is below HOME, and the cache where XDG_CACHE_HOME says', () => {
      expect(resolveHome({ HOME: '/home/ann' }, nobody)).toBe('/home/ann/.local/state/curfew');
      expect(resolveHome({ XDG_STATE_HOME: '/s' }, nobody)).toBe('/s/curfew');
      expect(cacheDir({ XDG_STATE_HOME: '/s' }, nobody)).toBe('/s/curfew/cache');
      expect(cacheDir({ XDG_CACHE_HOME: '/c' }, nobody)).toBe('/c/curfew');
    });

    it.each([{}, { HOME: '' }, { HOME: 'relative' }])('is asked for with the environment %o', (env) => {
      const asks = expect.objectContaining({
        exitCode: ExitCode.usage,
        message: expect.stringContaining('no home folder') as unknown,
        next: expect.stringMatching(/HOME or CURFEW_HOME/) as unknown,
      });
      expect(() => resolveHome(env, nobody)).toThrow(asks);
      expect(() => cacheDir(env, nobody)).toThrow(asks);
    });
  });

  it('is CURFEW_HOME when that is set, and the default when it is empty', () => {
    expect(resolveHome({ CURFEW_HOME: '/srv/curfew', HOME: '/home/ann' }, linux)).toBe('/srv/curfew');
    expect(resolveHome({ CURFEW_HOME: '', HOME: '/home/ann' }, linux)).toBe('/home/ann/.local/state/curfew');
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
