import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { obtainTemporalCli, type FetchCli } from '../../src/adapters/temporal/binary.js';
import { goInstallTemporalCli } from '../../src/adapters/temporal/go-install.js';

const GOOD = `#!/bin/sh
if [ "$1" = --version ]; then echo "temporal version $VERSION (Server 9.9.9, UI 1.1.1)"; exit 0; fi
echo "  -f, --db-filename string"
`;

let folder: string;
let bin: string;
let cache: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-binary-'));
  bin = join(folder, 'bin');
  cache = join(folder, 'cache');
  mkdirSync(bin);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** An executable shell script; by default one that answers as a Temporal CLI does. */
function script(path: string, text = GOOD.replace('$VERSION', '3.2.1')): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

const puts = (version: string) =>
  jest.fn<FetchCli>((directory) =>
    Promise.resolve(script(join(directory, 'temporal'), GOOD.replace('$VERSION', version))),
  );
const fails = (reason: string) => jest.fn<FetchCli>(() => Promise.reject(new Error(reason)));

function obtain(options: Partial<Parameters<typeof obtainTemporalCli>[0]> = {}) {
  return obtainTemporalCli({
    env: { PATH: [bin, '/usr/bin', '/bin'].join(delimiter) },
    cacheDir: cache,
    download: fails('no network'),
    goInstall: fails('no go'),
    ...options,
  });
}

describe('obtaining the Temporal CLI', () => {
  it('takes TEMPORAL_CLI_PATH before everything else', async () => {
    script(join(bin, 'temporal'));
    const path = script(join(folder, 'mine'), GOOD.replace('$VERSION', '7.0.0'));
    expect(await obtain({ env: { PATH: bin, TEMPORAL_CLI_PATH: path } })).toEqual({
      path,
      source: 'TEMPORAL_CLI_PATH',
      version: '7.0.0 (Server 9.9.9, UI 1.1.1)',
    });
  });

  it.each([
    ['is missing', null, 'no such file'],
    ['fails', '#!/bin/sh\necho "bad CPU type" >&2; exit 86\n', 'bad CPU type'],
    ['is something else', '#!/bin/sh\necho "tctl version 1.18.0"\n', 'something else than a Temporal version'],
    ['knows no dev server', '#!/bin/sh\n[ "$1" = --version ] && echo "temporal version 0.1" || exit 1\n', 'start-dev'],
  ])('does not look further when the one that TEMPORAL_CLI_PATH names %s', async (_, text, reason) => {
    script(join(bin, 'temporal'));
    const path = join(folder, 'mine');
    if (text !== null) script(path, text);
    const error = await obtain({ env: { PATH: bin, TEMPORAL_CLI_PATH: path } }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: ExitCode.usage, message: expect.stringContaining(path) as unknown });
    expect((error as UserError).message).toContain(reason);
  });

  it('takes the first usable `temporal` on PATH, and never one of a relative folder', async () => {
    const broken = join(folder, 'broken');
    script(join(broken, 'temporal'), '#!/bin/sh\nexit 1\n');
    const path = script(join(bin, 'temporal'));
    script(join(cache, 'temporal-cli', '1.0.0', 'temporal'));
    const env = { PATH: ['relative', broken, bin, '/usr/bin', '/bin'].join(delimiter) };
    expect(await obtain({ env })).toMatchObject({ path, source: 'PATH' });
  });

  it('takes the newest usable one of its cache before fetching', async () => {
    script(join(cache, 'temporal-cli', '1.9.0', 'temporal'));
    const newer = script(join(cache, 'temporal-cli', '1.10.0', 'temporal'));
    script(join(cache, 'temporal-cli', '2.0.0', 'temporal'), 'garbage');
    const download = puts('3.0.0');
    expect(await obtain({ download })).toMatchObject({ path: newer, source: 'cache' });
    expect(download).not.toHaveBeenCalled();
  });

  it('downloads what is nowhere, and finds it in the cache the next time', async () => {
    const download = puts('1.9.1');
    const goInstall = puts('0.0.0-DEV');
    const path = join(cache, 'temporal-cli', '1.9.1', 'temporal');
    expect(await obtain({ download, goInstall })).toMatchObject({ path, source: 'download' });
    expect(await obtain({ download, goInstall })).toMatchObject({ path, source: 'cache' });
    expect(download).toHaveBeenCalledTimes(1);
    expect(goInstall).not.toHaveBeenCalled();
  });

  it('builds it when there is no network, and leaves nothing half-made', async () => {
    mkdirSync(join(cache, 'temporal-cli', 'partial-of-a-killed-one'), { recursive: true });
    const path = join(cache, 'temporal-cli', '1.5.1', 'temporal');
    expect(await obtain({ goInstall: puts('0.0.0-DEV') })).toMatchObject({ path, source: 'go install' });
    expect(readdirSync(join(cache, 'temporal-cli')).sort()).toEqual(['1.5.1', 'fetch.lock']);
  });

  it('does not keep a fetched binary that does not work', async () => {
    const download = jest.fn<FetchCli>((directory) =>
      Promise.resolve(script(join(directory, 'temporal'), '#!/bin/sh\necho "wrong platform" >&2; exit 1\n')),
    );
    const error = await obtain({ download }).catch((e: unknown) => e as UserError);
    expect(error).toMatchObject({ message: expect.stringContaining('wrong platform') as unknown });
    expect(readdirSync(join(cache, 'temporal-cli'))).toEqual(['fetch.lock']);
  });

  it('says once what was tried and all the ways out when nothing works', async () => {
    script(join(bin, 'temporal'), '#!/bin/sh\necho "Segmentation fault" >&2; exit 139\n');
    const error = await obtain().catch((e: unknown) => e as UserError);
    expect(error).toBeInstanceOf(UserError);
    const { message, next, exitCode } = error as UserError;
    expect(exitCode).toBe(ExitCode.unreachable);
    for (const reason of ['Segmentation fault', 'cache: none', 'download: no network', 'go install: no go']) {
      expect(message).toContain(reason);
    }
    for (const way of ['on PATH', 'TEMPORAL_CLI_PATH', 'Go 1.25', 'TEMPORAL_ADDRESS']) expect(next).toContain(way);
  });

  it('says so when its cache can not be written', async () => {
    writeFileSync(cache, 'a file');
    await expect(obtain()).rejects.toMatchObject({ message: expect.stringContaining("can't be written") as unknown });
  });

  it('fetches once when several want it at the same time', async () => {
    const slow = jest.fn<FetchCli>(async (directory) => {
      await sleep(600);
      return script(join(directory, 'temporal'));
    });
    const progress: string[] = [];
    const both = await Promise.all([
      obtain({ download: slow }),
      obtain({ download: slow, onProgress: (text) => progress.push(text) }),
    ]);
    expect(slow).toHaveBeenCalledTimes(1);
    expect(both.map(({ source }) => source).sort()).toEqual(['cache', 'download']);
    expect(new Set(both.map(({ path }) => path)).size).toBe(1);
  });

  it('gives fetchers and binaries none of our own settings', async () => {
    const seen = join(folder, 'seen');
    script(join(bin, 'temporal'), `#!/bin/sh\nenv >> ${seen}\n${GOOD.slice(10)}`);
    await obtain({
      env: { PATH: `${bin}:/usr/bin:/bin`, GUMLOOP_API_KEY: 'secret-key', TEMPORAL_API_KEY: 'secret-key' },
    });
    expect(readFileSync(seen, 'utf8')).toContain('PATH=');
    expect(readFileSync(seen, 'utf8')).not.toContain('secret-key');
  });
});

describe('building the Temporal CLI with Go', () => {
  const run = (text: string, signal?: AbortSignal) => {
    script(join(bin, 'go'), text);
    const progress: string[] = [];
    const context = { env: { PATH: `${bin}:/usr/bin:/bin` }, onProgress: (line: string) => void progress.push(line) };
    return { progress, done: goInstallTemporalCli(folder, { ...context, ...(signal && { signal }) }) };
  };

  it('installs a pinned release into the folder, and shows time and the last module', async () => {
    const { progress, done } = run(`#!/bin/sh
echo "$@" > ${folder}/args
echo "go: downloading go.temporal.io/server v1.29.1" >&2
sleep 2.2
touch $GOBIN/temporal
`);
    expect(await done).toBe(join(folder, 'temporal'));
    expect(readFileSync(join(folder, 'args'), 'utf8')).toMatch(
      /^install -v -tags osusergo github.com\/temporalio\/cli\/cmd\/temporal@v\d/,
    );
    expect(progress.at(-1)).toMatch(/\d s, downloading go\.temporal\.io\/server/);
  });

  it("hands on the reason of a failure in Go's words", async () => {
    const { done } = run('#!/bin/sh\necho "dial tcp: lookup modules.example: no such host" >&2; exit 1\n');
    await expect(done).rejects.toThrow('no such host');
  });

  it('says that Go is missing', async () => {
    const done = goInstallTemporalCli(folder, { env: { PATH: bin }, onProgress: () => {} });
    await expect(done).rejects.toThrow('`go` is not on PATH');
  });

  it('is stopped by its signal, with its process and its files gone', async () => {
    const stop = new AbortController();
    script(join(bin, 'go'), `#!/bin/sh\necho $$ > ${folder}/pid\nexec sleep 600\n`);
    const building = obtain({ goInstall: goInstallTemporalCli, signal: stop.signal });
    while (!existsSync(join(folder, 'pid')) || readFileSync(join(folder, 'pid'), 'utf8') === '') await sleep(20);
    stop.abort(new Error('Ctrl-C'));
    await expect(building).rejects.toThrow('Ctrl-C');
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(readdirSync(join(cache, 'temporal-cli'))).toEqual(['fetch.lock']);
  });
});
