import { createSecretFile } from '../../platform/secret-file.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { type TemporalTarget, apiKeyProblem } from './connection-target.js';

/** How often the file is looked at, ms. A new key has to be there so long before the old one ends. */
const LOOK_MS = 10_000;

/** What both of the SDK's connections can do. */
interface Keyed {
  setApiKey(apiKey: string): void | Promise<void>;
}

/**
 * Hands each new content of TEMPORAL_API_KEY_FILE to open connections, so that a key can be replaced without a restart. Does
 * nothing where no file is set. Runs until the signal; a file that is away or unusable changes nothing, and is told once.
 */
export async function keepApiKey(
  target: TemporalTarget,
  connections: readonly Keyed[],
  log: Logger,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): Promise<void> {
  if (target.kind !== 'configured' || target.apiKeyFile === null) return;
  const file = createSecretFile(target.apiKeyFile, apiKeyProblem);
  let inUse = target.options.apiKey;
  let told: string | null = null;
  const look = async (): Promise<void> => {
    const key = await file.read();
    const trouble = file.trouble();
    if (trouble !== null && trouble !== told) {
      log.warn(`The file of TEMPORAL_API_KEY_FILE can't be used: ${trouble}. The last good key stays in use.`);
    }
    told = trouble;
    if (key === null || key === inUse) return;
    for (const connection of connections) await connection.setApiKey(key);
    inUse = key;
    log.info('took up the new key of TEMPORAL_API_KEY_FILE');
  };
  await keep('hand a new key to Temporal’s connections', lookMs, look, { log, signal });
}
