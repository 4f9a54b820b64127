import type { Environment } from '../config.js';
import type { Logger } from '../telemetry.js';
import { traceExportOf } from './settings.js';
import type { Tracing } from './sdk.js';

/**
 * Records spans from now on, if the environment asks for it.
 *
 * @param log - is told, at `warn`, what goes wrong with it
 * @returns null when it does not; then nothing is loaded
 * @throws UserError for settings that Curfew can't follow
 */
export async function startTracing(env: Environment, log: Pick<Logger, 'warn'>): Promise<Tracing | null> {
  const destination = traceExportOf(env);
  if (destination === 'off') return null;
  const { hearTelemetry } = await import('./said.js');
  hearTelemetry(log);
  const { startSdk } = await import('./sdk.js');
  return startSdk(destination, env);
}
