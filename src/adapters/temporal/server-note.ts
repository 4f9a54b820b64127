import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { isFileLockHeld } from '../../platform/file-lock.js';
import { homePaths } from '../../platform/home.js';
import { replacePrivateFile } from '../../platform/private-file.js';

const schema = z.object({
  /** `host:port` of Temporal's gRPC frontend, on the loopback interface. */
  address: z.string(),
  /** Port of its HTTP API on the same host; null, or missing in notes of older versions: not known. */
  httpPort: z.number().int().positive().nullable().default(null),
  /** The one host name that its HTTP API answers to; null, or missing in notes of older versions: any. */
  httpHost: z.string().min(1).nullable().default(null),
  uiUrl: z.string().nullable(),
  namespace: z.string(),
  /** Process id of the server; null when it was stopped. */
  pid: z.number().int().positive().nullable(),
  /** ISO 8601. */
  startedAt: z.string(),
  /** Process id of the curfew that looks after the server; for people, the lock decides. */
  ownerPid: z.number().int().positive().nullable(),
  /** False until the server has answered once with this database file: until then there is nothing in it to lose. */
  databaseReady: z.boolean(),
});

/** What the home folder remembers of its embedded server, also after it was stopped (its ports). */
export type ServerNote = z.infer<typeof schema>;

/** The note of a home, or null when there is none that can be read. */
export function readServerNote(home: string): ServerNote | null {
  try {
    return schema.parse(JSON.parse(readFileSync(homePaths(home).temporalNote, 'utf8')));
  } catch {
    return null;
  }
}

/** Writes the note so that a reader sees the old or the new one, readable by its user alone. */
export function writeServerNote(home: string, note: ServerNote): void {
  replacePrivateFile(homePaths(home).temporalNote, `${JSON.stringify(note, null, 2)}\n`);
}

/**
 * The embedded server of this home, for commands that want to talk to it: running, or about to be started again by the
 * curfew that looks after it. Null when there is none.
 */
export function readEmbeddedNote(home: string): ServerNote | null {
  const note = readServerNote(home);
  if (note === null || note.pid === null) return null;
  return isServerOf(home, note.pid) || isFileLockHeld(homePaths(home).temporalLock) ? note : null;
}

/**
 * Whether this process is alive and a Temporal server on this home's database. Process ids are used again, after a
 * reboot above all; the command line is what tells.
 */
export function isServerOf(home: string, pid: number): boolean {
  const commandLine = readCommandLine(pid);
  return commandLine.includes('start-dev') && commandLine.includes(homePaths(home).temporalDb);
}

/** Empty when there is no such process, or only its remains, not yet collected by its parent. */
function readCommandLine(pid: number): string {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    const [command, ...args] =
      process.platform === 'win32'
        ? [
            'powershell',
            '-NoProfile',
            '-Command',
            `(Get-CimInstance Win32_Process -Filter "ProcessId=${pid}").CommandLine`,
          ]
        : ['ps', '-ww', '-o', 'args=', '-p', String(pid)];
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}
