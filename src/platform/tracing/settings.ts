import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Environment } from '../config.js';
import { ExitCode, UserError } from '../../core/errors.js';

/** What the standard variables of OpenTelemetry ask for. */
export type TraceExport = 'off' | 'otlp' | 'console';

const PROTOCOL = 'http/protobuf';

/**
 * Reads whether and where spans go. Off unless an exporter or an address is named.
 *
 * Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/; other than there, the exporter is
 * not `otlp` by default, because a worker opens no connection that nobody asked for.
 *
 * @throws UserError with exit code 2 for an exporter or a protocol that Curfew does not carry, and for values that the SDK would
 * trip over, or pass over without a word
 */
export function traceExportOf(env: Environment): TraceExport {
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return 'off';
  const exporter = env['OTEL_TRACES_EXPORTER']?.trim() || null;
  const address = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'] || null;
  const wanted = exporter ?? (address === null ? 'none' : 'otlp');
  if (wanted === 'none') return 'off';
  checkResourceAttributes(env);
  checkValues(env, OF_SDK);
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
  checkHeaders(env);
  checkValues(env, OF_EXPORTER);
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
    'The address of the OpenTelemetry collector is not an http or https URL.',
    'Set OTEL_EXPORTER_OTLP_ENDPOINT, for example to http://127.0.0.1:4318.',
    ExitCode.usage,
  );
}

const PERCENT_ENCODE = 'write other characters percent-encoded: a space as %20, % as %25, comma as %2C, ; as %3B';

/** Shows no part of them: they are for credentials. */
function checkHeaders(env: Environment): void {
  for (const name of ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS']) {
    for (const entry of entriesOf(env[name])) {
      const why = headerProblem(entry);
      if (why === null) continue;
      throw new UserError(
        `${name} can't be used: ${why}.`,
        `Give it as name=value,other=value, and ${PERCENT_ENCODE}.`,
        ExitCode.usage,
      );
    }
  }
}

function headerProblem(entry: string): string | null {
  const [name, value] = pairOf(entry) ?? [];
  if (!name || !value) return 'it has an entry that is not name=value';
  // The SDK takes what follows for a remark.
  if (entry.includes(';')) return 'it has a ; in an entry';
  const [plainName, plainValue] = [decoded(name), decoded(value)];
  if (plainName === null || plainValue === null) return 'it has a % that is not followed by the code of a character';
  try {
    validateHeaderName(plainName);
  } catch {
    return 'the name of an entry is not one that HTTP can carry';
  }
  try {
    validateHeaderValue(plainName, plainValue);
  } catch {
    return 'the value of an entry has a character that HTTP can not carry in a header';
  }
  return null;
}

/** The SDK drops an entry with a second =, and all entries for a character that it does not take. */
function checkResourceAttributes(env: Environment): void {
  const name = 'OTEL_RESOURCE_ATTRIBUTES';
  for (const entry of entriesOf(env[name])) {
    const [key, value] = pairOf(entry) ?? [];
    const isOdd = !key || value === undefined || value.includes('=') || decoded(value) === null;
    // Source: https://www.w3.org/TR/baggage/#definition
    if (!isOdd && /^[!-+\--:<-[\]-~]{1,255}$/.test(key) && /^[!-+\--:<-[\]-~]{0,255}$/.test(value)) continue;
    throw new UserError(
      `${name} can't be used: it has an entry that is not key=value in plain ASCII of at most 255 characters.`,
      `Give it as key=value,other=value, and ${PERCENT_ENCODE}, = as %3D.`,
      ExitCode.usage,
    );
  }
}

const entriesOf = (list: string | undefined): string[] =>
  (list ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

function pairOf(entry: string): readonly [string, string] | null {
  const at = entry.indexOf('=');
  return at === -1 ? null : [entry.slice(0, at).trim(), entry.slice(at + 1).trim()];
}

/** @returns null for what can't be decoded */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

interface Values {
  readonly names: readonly string[];
  readonly fits: (value: string) => boolean;
  readonly next: string;
}

const isNumber = (value: string, least: number): boolean => /^\d{1,9}(\.\d+)?$/.test(value) && Number(value) >= least;

const SAMPLERS = ['always_on', 'always_off', 'traceidratio'];

const OF_SDK: readonly Values[] = [
  {
    names: ['OTEL_TRACES_SAMPLER'],
    fits: (value) => SAMPLERS.includes(value.replace(/^parentbased_/, '')),
    next: `Set it to one of ${SAMPLERS.join(', ')}.`,
  },
  {
    names: ['OTEL_TRACES_SAMPLER_ARG'],
    fits: (value) => isNumber(value, 0) && Number(value) <= 1,
    next: 'Set it to a share from 0 to 1.',
  },
  {
    names: ['SCHEDULE_DELAY', 'EXPORT_TIMEOUT', 'MAX_QUEUE_SIZE', 'MAX_EXPORT_BATCH_SIZE'].map(
      (name) => `OTEL_BSP_${name}`,
    ),
    fits: (value) => isNumber(value, 0),
    next: 'Set it to a number; times are in ms.',
  },
];

const OF_EXPORTER: readonly Values[] = [
  {
    names: ['OTEL_EXPORTER_OTLP_TIMEOUT', 'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT'],
    fits: (value) => isNumber(value, 1),
    next: 'Set it to a number of ms.',
  },
  {
    names: ['OTEL_EXPORTER_OTLP_COMPRESSION', 'OTEL_EXPORTER_OTLP_TRACES_COMPRESSION'],
    fits: (value) => value === 'gzip' || value === 'none',
    next: 'Set it to gzip or none.',
  },
];

function checkValues(env: Environment, all: readonly Values[]): void {
  for (const { names, fits, next } of all) {
    for (const name of names) {
      const value = env[name]?.trim() || null;
      if (value === null || fits(value)) continue;
      throw new UserError(`${name} is "${value}", which OpenTelemetry does not take.`, next, ExitCode.usage);
    }
  }
}
