import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { ExitCode, UserError } from '../../core/errors.js';
import { doubled } from '../../core/policy/backoff.js';
import { tryFileLock, type FileLock } from '../../platform/file-lock.js';
import { freePort } from '../../platform/free-port.js';
import { homePaths } from '../../platform/home.js';
import { systemUser, userName } from '../../platform/user.js';
import { isAnswering, waitUntilAnswering } from './answering.js';
import { LOOPBACK_CHANNEL_ARGS } from './loopback.js';
import { withoutRepeats, type OnProgress } from './progress.js';
import { ensureSearchAttributes, type SearchAttributes } from './search-attributes.js';
import { isServerOf, readServerNote, writeServerNote, type ServerNote } from './server-note.js';
import {
  adoptServer,
  choosePorts,
  grpcAddress,
  NAMESPACE,
  spawnServer,
  stopServer,
  uiUrl,
  type ServerPorts,
  type ServerProcess,
} from './server-process.js';
import { pauseUntil } from '../../platform/pause.js';

/** Why the server went away, and whether it is being started again. */
export interface ServerExit {
  reason: string;
  /** False: it was given up after several attempts, and nothing works until someone acts. */
  willRestart: boolean;
}

/** The embedded Temporal server of a home, looked after until {@link stop}. */
export interface EmbeddedServer {
  /** `127.0.0.1:port` of the gRPC frontend; the same for as long as this object lives. */
  readonly address: string;
  readonly uiUrl: string | null;
  readonly namespace: string;
  /** Changes when the server was started again. */
  readonly pid: number;
  /** False when a server of this home ran already: one that was left behind, or one that another curfew looks after. */
  readonly started: boolean;
  /** Ends the server, unless another curfew looks after it. Twice is fine. */
  stop(): Promise<void>;
  /** Tells when the server went away without having been stopped. */
  onExit(listener: (exit: ServerExit) => void): void;
}

/** What of a pino logger is used. */
interface ServerLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface EmbeddedServerOptions {
  /** The home folder; it exists and can be written. */
  home: string;
  /** Path of the Temporal CLI. */
  binary: string;
  env: NodeJS.ProcessEnv;
  searchAttributes: SearchAttributes;
  /** Gets a line on what is being done while one waits. */
  onProgress?: OnProgress;
  logger?: ServerLogger;
  /** Ends the waiting; what was started is stopped. */
  signal?: AbortSignal;
  /**
   * Whether the server brings its web UI along. Default false: it takes orders from whoever reaches its port, pages in the user's
   * browser among them.
   */
  ui?: boolean;
}

/** Temporal's own defaults, where its tools look first. */
const USUAL_PORTS: ServerPorts = { grpc: 7233, ui: 8233 };
/** It takes under 1 s, and a few on a small machine; after this something is wrong, ms. */
const UP_WITHIN_MS = 60_000;
/** A server left behind that does not answer within this is replaced, ms. */
const ADOPT_WITHIN_MS = 15_000;
/** Another process can take a port between our look and the server's. */
const START_ATTEMPTS = 3;
/** Restarts in a row that may fail; with the waits between them that is about two minutes. */
const MAX_RESTARTS = 10;
const FIRST_RESTART_WAIT_MS = 250;
const MAX_RESTART_WAIT_MS = 30_000;
/** After this long a life the next death is a new story, not one more of a row, ms. */
const HEALTHY_AFTER_MS = 60_000;
const OWNER_POLL_MS = 1_000;

const IN_USE = /address already in use|Only one usage of each socket address/i;
const BROKEN_DATABASE = /not a database|malformed|no such table|no such column/i;

/**
 * Makes sure that the embedded Temporal server of a home runs, with its data in the home, and looks after it.
 *
 * One process owns the server: it holds the home's lock, starts the server again when it dies, and stops it. When the
 * owner is killed the server lives on, and the next to come adopts it. Who comes while there is an owner joins, and takes
 * over should the owner go.
 *
 * @throws {UserError} when the server does not come up, with the end of its log
 * @throws the reason of `signal` when it is aborted
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  // One spelling of the path: the server's command line is compared with it.
  const home = realpathSync(options.home);
  const onProgress = withoutRepeats(options.onProgress ?? (() => {}));
  const server = new Supervisor({ ...options, home, onProgress });
  await server.begin();
  return server;
}

class Supervisor implements EmbeddedServer {
  #started: boolean | null = null;
  #pid: number | null = null;
  #ports: ServerPorts | null = null;
  #process: ServerProcess | null = null;
  #joined: ServerNote | null = null;
  #lock: FileLock | null = null;
  #watching: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;
  readonly #stopping = new AbortController();
  readonly #listeners: ((exit: ServerExit) => void)[] = [];

  constructor(private readonly options: EmbeddedServerOptions) {}

  get address(): string {
    return this.#joined?.address ?? grpcAddress(known(this.#ports));
  }

  get uiUrl(): string | null {
    return this.#joined ? this.#joined.uiUrl : uiUrl(known(this.#ports));
  }

  get namespace(): string {
    return NAMESPACE;
  }

  get pid(): number {
    return this.#joined ? (readServerNote(this.options.home)?.pid ?? known(this.#joined.pid)) : known(this.#pid);
  }

  get started(): boolean {
    return known(this.#started);
  }

  onExit(listener: (exit: ServerExit) => void): void {
    this.#listeners.push(listener);
  }

  /** Becomes the owner, or joins one. */
  async begin(): Promise<void> {
    const { home, onProgress, signal } = this.options;
    const abort = () => this.#stopping.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const began = performance.now();
      for (;;) {
        signal?.throwIfAborted();
        const lock = tryFileLock(homePaths(home).temporalLock);
        if (lock) return await this.#own(lock);
        const note = readServerNote(home);
        if (note?.pid != null && (await isAnswering(note))) return this.#join(note);
        if (performance.now() - began > 2 * UP_WITHIN_MS) throw ownerIsStuck(home, note);
        onProgress?.('waiting for the Temporal server that another curfew of this home starts');
        await sleep(OWNER_POLL_MS / 4);
      }
    } finally {
      // From here on only `stop` ends it.
      signal?.removeEventListener('abort', abort);
    }
  }

  async stop(): Promise<void> {
    return await (this.#stopped ??= (async () => {
      this.#stopping.abort(new Error('The embedded Temporal server is being stopped.'));
      await this.#watching;
      await this.#letGo(true);
    })());
  }

  async #own(lock: FileLock): Promise<void> {
    this.#lock = lock;
    try {
      await this.#getServer();
      await this.#registerSearchAttributes();
    } catch (error) {
      await this.#letGo(true);
      throw error;
    }
    this.#watching = this.#superviseServer();
  }

  async #getServer(): Promise<void> {
    const orphan = await this.#adoptOrphan();
    this.#process = orphan ?? (await this.#startFresh());
    this.#started ??= orphan === null;
    this.#pid = this.#process.pid;
  }

  #join(note: ServerNote): void {
    this.#joined = note;
    this.#started = false;
    this.options.logger?.info(
      { address: note.address, ownerPid: note.ownerPid },
      'Joined the Temporal server of another curfew',
    );
    this.#watching = this.#watchOwner();
  }

  /** A server of this home whose owner was killed. One that does not answer is ended: two on one file would be worse. */
  async #adoptOrphan(): Promise<ServerProcess | null> {
    const { home, logger, onProgress } = this.options;
    const note = readServerNote(home);
    if (note?.pid == null || !isServerOf(home, note.pid)) return null;
    const orphan = adoptServer(home, note.pid);
    if (!this.#isAsWanted(note)) {
      onProgress?.('replacing the Temporal server that an earlier curfew left running');
      await stopServer(orphan);
      return null;
    }
    onProgress?.('taking over the Temporal server that an earlier curfew left running');
    const timing = { timeoutMs: ADOPT_WITHIN_MS, signal: this.#stopping.signal };
    const state = await waitUntilAnswering(orphan, note, timing);
    if (state !== 'answering') {
      await stopServer(orphan);
      return null;
    }
    this.#ports = portsOf(note);
    writeServerNote(home, { ...note, ownerPid: process.pid, databaseReady: true });
    logger?.info(
      { pid: note.pid, address: note.address },
      'Adopted the Temporal server that an earlier curfew left running',
    );
    return orphan;
  }

  /** One that an older Curfew started answers every host name; and a UI stays no longer than it is asked for. */
  #isAsWanted({ httpHost, uiUrl: ui }: ServerNote): boolean {
    return httpHost !== null && (ui !== null) === (this.options.ui === true);
  }

  async #startFresh(): Promise<ServerProcess> {
    const { home, ui = false } = this.options;
    const note = readServerNote(home);
    // Killed while it made its file, the server can't read it ever after. Nothing was stored in it yet.
    if (note?.databaseReady === false) removeDatabase(home);
    const wanted = [...(note === null ? [] : [portsOf(note)]), USUAL_PORTS];
    for (let attempt = 1; ; attempt++) {
      // As joiner we already told an address to others: then only that one will do.
      const ports = this.#ports ?? (await choosePorts(wanted, ui));
      try {
        const server = await this.#launch(ports);
        this.#ports = ports;
        return server;
      } catch (error) {
        const retry = error instanceof StartFailure && IN_USE.test(error.logTail) && attempt < START_ATTEMPTS;
        if (!retry) throw error instanceof StartFailure ? startError(home, error) : error;
      }
    }
  }

  /** @throws {StartFailure} when it does not come up; it is ended then */
  async #launch(ports: ServerPorts): Promise<ServerProcess> {
    const { home, binary, env, searchAttributes, onProgress } = this.options;
    // A new one each time, from the range where the system gives every caller another one: nobody else looks for it.
    const httpPort = await freePort();
    const httpHost = `${randomBytes(16).toString('hex')}.invalid`;
    onProgress?.('starting the Temporal server');
    const before = readServerNote(home);
    const databaseExists = existsSync(homePaths(home).temporalDb);
    const server = spawnServer({ home, binary, env, ports, httpPort, httpHost, searchAttributes });
    if (server.pid === 0) throw new StartFailure(await server.exited, '');
    // In the same tick: even if we are killed now, the next one finds the server.
    const note: ServerNote = {
      address: grpcAddress(ports),
      httpPort,
      httpHost,
      uiUrl: uiUrl(ports),
      namespace: NAMESPACE,
      pid: server.pid,
      startedAt: new Date().toISOString(),
      ownerPid: process.pid,
      databaseReady: before?.databaseReady ?? databaseExists,
    };
    writeServerNote(home, note);
    try {
      const timing = { timeoutMs: UP_WITHIN_MS, signal: this.#stopping.signal };
      const state = await waitUntilAnswering(server, note, timing);
      if (state === 'exited') throw new StartFailure(await server.exited, server.logTail());
      if (state === 'timeout')
        throw new StartFailure(`does not answer after ${UP_WITHIN_MS / 1000} s`, server.logTail());
    } catch (error) {
      await stopServer(server);
      writeServerNote(home, { ...note, pid: null, ownerPid: null });
      throw error;
    }
    writeServerNote(home, { ...note, databaseReady: true });
    return server;
  }

  /** The server registers what is on its command line only in a new file; a newer Curfew may want more. */
  async #registerSearchAttributes(): Promise<void> {
    const connection = Connection.lazy({ address: this.address, channelArgs: LOOPBACK_CHANNEL_ARGS });
    try {
      await ensureSearchAttributes(connection, NAMESPACE, this.options.searchAttributes);
    } finally {
      await connection.close();
    }
  }

  /** Starts the server again whenever it dies, until it is stopped or given up. Never rejects. */
  async #superviseServer(): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      const upSince = performance.now();
      let reason = await this.#untilExit();
      if (signal.aborted) return;
      if (performance.now() - upSince > HEALTHY_AFTER_MS) failures = 0;
      this.#process = null;
      this.#tell({ reason, willRestart: true });
      while (this.#process === null) {
        if (failures >= MAX_RESTARTS) {
          await this.#letGo(false);
          return this.#tell({ reason, willRestart: false });
        }
        await pauseUntil(doubled(FIRST_RESTART_WAIT_MS, failures++, MAX_RESTART_WAIT_MS), signal);
        if (signal.aborted) return;
        try {
          this.#process = await this.#launch(known(this.#ports));
          this.#pid = this.#process.pid;
          this.options.logger?.info(
            { pid: this.#process.pid, address: this.address },
            'The Temporal server runs again',
          );
        } catch (error) {
          reason = error instanceof StartFailure ? `${error.message}\n${error.logTail}` : String(error);
        }
      }
    }
  }

  /** As long as another curfew looks after the server there is nothing to do; when it goes, we do. Never rejects. */
  async #watchOwner(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(OWNER_POLL_MS, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      const lock = tryFileLock(homePaths(this.options.home).temporalLock);
      if (lock === null) continue;
      this.#lock = lock;
      // The address has to stay. A UI of the other's goes with it, and one that it had not is not begun half-way.
      const ports = portsOf(known(this.#joined));
      this.#ports = this.options.ui === true ? ports : { ...ports, ui: null };
      this.#joined = null;
      try {
        await this.#getServer();
      } catch (error) {
        if (signal.aborted) return;
        this.options.logger?.warn({ error: String(error) }, 'The Temporal server can not be taken over');
      }
      return await this.#superviseServer();
    }
  }

  async #untilExit(): Promise<string> {
    const { signal } = this.#stopping;
    if (this.#process === null) return 'did not come up';
    const aborted = new Promise<string>((resolve) =>
      signal.addEventListener('abort', () => resolve('stopped'), { once: true }),
    );
    return await Promise.race([this.#process.exited, aborted]);
  }

  /** Gives up ownership, if we have it. */
  async #letGo(stopIt: boolean): Promise<void> {
    if (this.#lock === null) return;
    try {
      if (stopIt && this.#process !== null) await stopServer(this.#process);
      const { home } = this.options;
      const note = readServerNote(home);
      // A server that runs on, because the adoption was broken off, must stay findable.
      if (note?.pid != null && !isServerOf(home, note.pid))
        writeServerNote(home, { ...note, pid: null, ownerPid: null });
    } finally {
      this.#process = null;
      this.#lock.release();
      this.#lock = null;
    }
  }

  #tell(exit: ServerExit): void {
    const message = exit.willRestart
      ? 'The Temporal server stopped; starting it again'
      : 'The Temporal server does not keep running; gave up';
    this.options.logger?.warn({ ...exit }, message);
    for (const listener of this.#listeners) listener(exit);
  }
}

/** The server did not come up: how it ended, and what it wrote. */
class StartFailure extends Error {
  constructor(
    message: string,
    readonly logTail: string,
  ) {
    super(message);
  }
}

function startError(home: string, failure: StartFailure): UserError {
  const { temporalDb, temporalLog } = homePaths(home);
  const log = failure.logTail === '' ? [] : failure.logTail.split('\n');
  const head = `The embedded Temporal server ${failure.message}.`;
  return new UserError(
    [log.length === 0 ? head : `${head} The end of its log:`, ...log],
    nextAfter(failure, temporalDb, temporalLog),
    ExitCode.unreachable,
  );
}

function nextAfter({ logTail }: StartFailure, database: string, log: string): string {
  if (BROKEN_DATABASE.test(logTail)) {
    return `Move ${database} and the files beside it (-wal, -shm) away, and start again: the open orders are in the ledger and continue.`;
  }
  // Its log has the cause in the middle of a line of thousands of characters.
  const cause =
    systemUser() === null
      ? `Some builds of Temporal's server do not start for a user who is not in /etc/passwd, as ${userName()} is not: add it there. Otherwise read`
      : 'Read';
  return `${cause} ${log}, or set TEMPORAL_ADDRESS to another Temporal server.`;
}

function ownerIsStuck(home: string, note: ServerNote | null): UserError {
  const owner = note?.ownerPid == null ? '' : ` (process ${note.ownerPid})`;
  return new UserError(
    `Another curfew${owner} looks after the Temporal server of ${home}, but the server does not answer.`,
    'Stop that curfew and start again, or set CURFEW_HOME to another folder.',
    ExitCode.unreachable,
  );
}

function removeDatabase(home: string): void {
  const { temporalDb } = homePaths(home);
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${temporalDb}${suffix}`, { force: true });
}

function portsOf(note: ServerNote): ServerPorts {
  const port = (authority: string) => Number(authority.slice(authority.lastIndexOf(':') + 1));
  return { grpc: port(note.address), ui: note.uiUrl === null ? null : port(note.uiUrl) };
}

/** For what is set before anybody can ask for it. */
function known<T>(value: T | null | undefined): T {
  if (value == null) throw new TypeError('The embedded Temporal server was used before it started.');
  return value;
}
