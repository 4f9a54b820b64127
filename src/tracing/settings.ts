import type { Environment } from '../config.js';
import { ExitCode, UserError } from '../errors.js';

/** What the standard variables of OpenTelemetry ask for. */
export type TraceExport = 'off' | 'otlp' | 'console';

const PROTOCOL = 'http/protobuf';

/**
 * Reads whether and where spans go. Off unless an exporter or an address is named.
 *
 * Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/; other than there, the exporter is
 * not `otlp` by default, because a worker opens no connection that nobody asked for.
 *
 * @throws UserError with exit code 2 for an exporter or a protocol that Curfew does not carry
 */
export function traceExportOf(env: Environment): TraceExport {
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return 'off';
  const exporter = env['OTEL_TRACES_EXPORTER']?.trim() || null;
  const address = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'] || null;
  const wanted = exporter ?? (address === null ? 'none' : 'otlp');
  if (wanted === 'none') return 'off';
  if (wanted === 'console') return 'console';
  if (wanted !== 'otlp') {
    throw new UserError(
      `OTEL_TRACES_EXPORTER is "${wanted}", which Curfew does not carry.`,
      'Set it to otlp, console or none.',
      ExitCode.usage,
    );
  }
  checkProtocol(env);
  checkAddress(address);
  return 'otlp';
}

function checkProtocol(env: Environment): void {
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']) {
    const protocol = env[name]?.trim() || null;
    if (protocol === null) continue;
    // The one for traces wins, whatever the general one says.
    if (protocol === PROTOCOL) return;
    throw new UserError(
      `${name} is "${protocol}", which Curfew does not carry.`,
      `Set it to ${PROTOCOL}, and the endpoint to the collector's port for it (4318 as a rule).`,
      ExitCode.usage,
    );
  }
}

/** The exporter itself would go on with an address that it can't use, and say so only to a logger that nobody reads. */
function checkAddress(address: string | null): void {
  if (address === null) return;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return;
  throw new UserError(
    'The address of the OpenTelemetry collector is no http or https URL.',
    'Set OTEL_EXPORTER_OTLP_ENDPOINT, for example to http://127.0.0.1:4318.',
    ExitCode.usage,
  );
}
