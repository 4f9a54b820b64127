import { freePort } from '../../platform/free-port.js';

/**
 * The metrics of Temporal's SDK come from its native core, which serves them itself and nowhere else. So it gets a port on
 * this machine, and we hand on what it says.
 */
export interface SdkMetrics {
  /** What it serves now; empty when it does not answer. Never rejects. */
  read(): Promise<string>;
}

/** It answers in milliseconds, or it is not there. */
const PATIENCE_MS = 2_000;
const HOST = '127.0.0.1';
const MOST_ATTEMPTS = 3;

/**
 * @param install - has the core serve at an address
 * @throws what `install` throws
 */
export async function serveSdkMetrics(install: (bindAddress: string) => void): Promise<SdkMetrics> {
  const bindAddress = await installed(install);
  return {
    async read() {
      try {
        const answer = await fetch(`http://${bindAddress}/metrics`, { signal: AbortSignal.timeout(PATIENCE_MS) });
        return answer.ok ? await answer.text() : '';
      } catch {
        return '';
      }
    },
  };
}

/** The port is free when we look. Whoever takes it before the core does makes us look again. */
async function installed(install: (bindAddress: string) => void): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const bindAddress = `${HOST}:${await freePort()}`;
    try {
      install(bindAddress);
      return bindAddress;
    } catch (error) {
      if (attempt >= MOST_ATTEMPTS || !(error instanceof Error && /already in use/i.test(error.message))) throw error;
    }
  }
}
