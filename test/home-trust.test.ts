import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../src/core/errors.js';
import { homeTrust, refuseUntrustedHome, tightenHomeFiles } from '../src/platform/home-trust.js';
import { homePaths } from '../src/platform/home.js';
import { openPrivateFile, replacePrivateFile } from '../src/platform/private-file.js';
import { makeHome, removeHome } from './support/embedded-server.js';

let home: string;
beforeEach(() => void (home = makeHome()));
afterEach(() => removeHome(home));

const user = process.getuid!();
/** Neither the owner of what tests make, nor root. */
const SOMEBODY = user + 4_711;

describe('a home', () => {
  it('of its user alone is trusted, and so is one that is not there', () => {
    writeFileSync(homePaths(home).ledger, '', { mode: 0o600 });
    expect(homeTrust(home)).toEqual({ refusal: null, warning: null });
    expect(homeTrust(join(home, 'missing'))).toEqual({ refusal: null, warning: null });
    expect(() => refuseUntrustedHome(home)).not.toThrow();
  });

  it.each([
    [0o777, 'every user of this machine (mode 0777)'],
    [0o1777, 'every user of this machine (mode 1777)'],
    [0o770, 'its group (mode 0770)'],
  ])('of mode %o is refused: others could swap the ledger', (mode, who) => {
    chmodSync(home, mode);
    expect(homeTrust(home).refusal).toEqual({
      says: expect.stringContaining(`${home} can be written by ${who}`) as unknown,
      next: expect.stringContaining(`chmod go-rwx ${home}`) as unknown,
    });
    expect(() => refuseUntrustedHome(home)).toThrow(
      expect.objectContaining({
        exitCode: ExitCode.refused,
        message: expect.stringContaining('Nothing was started.') as unknown,
      }),
    );
  });

  it('below a folder that every user can write to is refused, unless nobody can move it there', () => {
    chmodSync(dirname(home), 0o777);
    expect(homeTrust(home).refusal?.says).toContain(`is below ${dirname(home)}`);
    chmodSync(dirname(home), 0o1777);
    expect(homeTrust(home).refusal).toBeNull();
  });

  it('of another owner is refused, unless that is root', () => {
    // Root alone can give something away; for all others what is theirs stands for it.
    const asks = user === 0 ? 0 : SOMEBODY;
    if (user === 0) chownSync(home, SOMEBODY, SOMEBODY);
    expect(homeTrust(home, asks).refusal).toEqual({
      says: expect.stringContaining(`${home} belongs to another user (id ${user === 0 ? SOMEBODY : user})`) as unknown,
      next: expect.stringContaining('CURFEW_HOME') as unknown,
    });
    if (user !== 0) return;
    chownSync(home, 0, 0);
    expect(homeTrust(home, SOMEBODY).refusal).toBeNull();
  });

  it('that others may enter or list is warned of, with a file that they can read', () => {
    chmodSync(home, 0o755);
    expect(homeTrust(home)).toEqual({
      refusal: null,
      warning: {
        says: expect.stringContaining('mode 0755') as unknown,
        next: expect.stringContaining(`chmod -R go-rwx ${home}`) as unknown,
      },
    });
    const { temporalDb } = homePaths(home);
    writeFileSync(temporalDb, '');
    chmodSync(temporalDb, 0o644);
    expect(homeTrust(home).warning?.says).toContain(`they can read ${temporalDb}`);
    chmodSync(home, 0o700);
    expect(homeTrust(home).warning).toBeNull();
  });

  it.each(['ledger', 'temporalLog', 'temporalNote', 'temporalLock'] as const)(
    'with a link in the place of its %s is refused',
    (name) => {
      symlinkSync(join(dirname(home), 'elsewhere'), homePaths(home)[name]);
      expect(homeTrust(home).refusal?.says).toContain(`${homePaths(home)[name]} is a symbolic link`);
    },
  );

  it('with a file that others can write and reach is refused', () => {
    const { ledger } = homePaths(home);
    writeFileSync(ledger, '');
    chmodSync(ledger, 0o666);
    expect(homeTrust(home).refusal).toBeNull();
    chmodSync(home, 0o755);
    expect(homeTrust(home).refusal?.says).toContain(`${ledger} can be written by every user`);
  });

  it('has the rights of others taken away from its files, and from those alone that Curfew makes', () => {
    const { temporalDb, temporalLog } = homePaths(home);
    const theirs = join(home, 'notes.txt');
    for (const path of [temporalDb, `${temporalDb}-wal`, theirs]) writeFileSync(path, '');
    for (const path of [temporalDb, `${temporalDb}-wal`, theirs]) chmodSync(path, 0o644);
    symlinkSync(theirs, temporalLog);
    tightenHomeFiles(home);
    const modes = [temporalDb, `${temporalDb}-wal`, theirs].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o644]);
  });
});

describe('a file of the home', () => {
  it('is never opened through a link', () => {
    const elsewhere = join(dirname(home), 'elsewhere');
    writeFileSync(elsewhere, 'precious');
    const { temporalLog } = homePaths(home);
    symlinkSync(elsewhere, temporalLog);
    for (const how of ['append', 'read'] as const) {
      expect(() => openPrivateFile(temporalLog, how)).toThrow(
        expect.objectContaining({
          exitCode: ExitCode.refused,
          message: expect.stringContaining('is a symbolic link') as unknown,
        }),
      );
    }
    expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
  });

  it('is replaced as a whole, for its user alone, also where a link waits on the way', () => {
    const elsewhere = join(dirname(home), 'elsewhere');
    writeFileSync(elsewhere, 'precious');
    const path = join(home, 'note');
    symlinkSync(elsewhere, `${path}.${process.pid}.partial`);
    replacePrivateFile(path, 'new');
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
  });

  it('is begun for its user alone', () => {
    const path = join(home, 'log');
    const file = openPrivateFile(path, 'append');
    writeSync(file, 'a line\n');
    closeSync(file);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    mkdirSync(join(home, 'folder'));
    expect(() => openPrivateFile(join(home, 'folder'), 'append')).toThrow(/EISDIR/);
  });
});
