import { accessSync, constants } from 'node:fs';
import { loadClientConfigProfile, toClientOptions, type ClientConfigProfile } from '@temporalio/envconfig';
import { payloadEncryption, type Encryption } from '../codec/encryption.js';
import { redirects, type DotEnv } from '../../platform/dot-env.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { isLoopbackHost } from '../../platform/loopback-host.js';
import { secretSetting } from '../../platform/secret-setting.js';

import { readEmbeddedNote } from './server-note.js';

/** What both of the SDK's connections take. Holds secrets: not for logs. */
interface TemporalConnectionOptions {
  address: string;
  tls?: NonNullable<ReturnType<typeof toClientOptions>['connectionOptions']['tls']>;
  apiKey?: string;
  metadata?: Record<string, string>;
}

/** Where Temporal is. */
export type TemporalTarget =
  | {
      kind: 'configured';
      address: string;
      namespace: string;
      options: TemporalConnectionOptions;
      encryption: Encryption;
      /** File that the API key came from; it may be replaced at any time. */
      apiKeyFile: string | null;
      /** One line for people, without secrets. */
      describe: string;
    }
  | { kind: 'embedded'; address: string; namespace: string; uiUrl: string | null; encryption: Encryption }
  | { kind: 'none' };

/** What the `temporal` CLI and the SDKs fall back to. */
const DEFAULT_ADDRESS = 'localhost:7233';
const DEFAULT_NAMESPACE = 'default';

/**
 * Finds out which Temporal to use: the one that environment or config file name, as the `temporal` CLI reads them;
 * otherwise the embedded server of this home, if one runs.
 *
 * "Named" means that an address, an API key or a profile is really given; a namespace alone names no server.
 *
 * @param settings.dotEnv - where a part of the settings comes from; it must not send a key of elsewhere away
 * @throws {UserError} (usage) when the settings are unreadable or contradict each other
 */
export function resolveTemporal({
  env,
  home,
  dotEnv = null,
}: {
  env: NodeJS.ProcessEnv;
  home: string;
  dotEnv?: DotEnv | null;
}): TemporalTarget {
  const settings = withApiKey(presentOnly(env));
  checkSwitch(settings);
  const encryption = payloadEncryption(settings);
  const profile = loadProfile(settings);
  if (profile.address === undefined && profile.apiKey === undefined && settings['TEMPORAL_PROFILE'] === undefined) {
    const note = readEmbeddedNote(home);
    if (note === null) return { kind: 'none' };
    return { kind: 'embedded', address: note.address, namespace: note.namespace, uiUrl: note.uiUrl, encryption };
  }
  checkSecrets(profile);
  if (dotEnv !== null) checkSource(profile, settings, dotEnv);
  checkTls(profile);
  const { tls } = toClientOptions(profile).connectionOptions;
  const address = profile.address ?? DEFAULT_ADDRESS;
  if (!tls) checkPlainConnection(profile, address);
  const namespace = profile.namespace ?? DEFAULT_NAMESPACE;
  const features = [
    `namespace ${namespace}`,
    ...(tls ? [profile.tls?.clientCert ? 'TLS with client certificate' : 'TLS'] : []),
    ...(profile.apiKey === undefined ? [] : ['API key']),
  ];
  return {
    kind: 'configured',
    address,
    namespace,
    options: {
      address,
      ...(tls != null && { tls }),
      ...(profile.apiKey !== undefined && { apiKey: profile.apiKey }),
      ...(profile.grpcMeta !== undefined && { metadata: profile.grpcMeta }),
    },
    encryption,
    apiKeyFile: settings['TEMPORAL_API_KEY_FILE'] ?? null,
    describe: `Temporal at ${address} (${features.join(', ')})`,
  };
}

/** Compose files and CI hand down unset variables as empty ones; the library would take "" for an address. */
function presentOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => {
      const trimmed = value?.trim();
      return trimmed ? [[name, trimmed]] : [];
    }),
  );
}

/** The `temporal` CLI knows no file for the key; services do. */
function withApiKey(settings: Record<string, string>): Record<string, string> {
  const apiKey = secretSetting(settings, 'TEMPORAL_API_KEY');
  return apiKey === null ? settings : { ...settings, TEMPORAL_API_KEY: apiKey };
}

function loadProfile(settings: Record<string, string>): ClientConfigProfile {
  const file = settings['TEMPORAL_CONFIG_FILE'];
  // The library passes over a file that is not there. One that was named has to be there.
  if (file !== undefined) checkReadable(file, 'TEMPORAL_CONFIG_FILE');
  try {
    return loadClientConfigProfile({ overrideEnvVars: settings });
  } catch (error) {
    // A TOML error shows the lines around it, and with them perhaps a key: the first line has none.
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    const line = typeof error === 'object' && error !== null && 'line' in error ? `, line ${String(error.line)}` : '';
    throw new UserError(
      `Temporal's client settings can't be read${line}: ${reason}.`,
      'Correct the TEMPORAL_… variables or the config file (`temporal config list` shows its profiles).',
      ExitCode.usage,
    );
  }
}

/** On and off, as the library understands them: it takes every other word, `TRUE` and `yes` among them, for off. */
const SWITCH_VALUES = ['true', '1', 'false', '0'];

function checkSwitch({ TEMPORAL_TLS: value }: Record<string, string>): void {
  if (value === undefined || SWITCH_VALUES.includes(value)) return;
  throw new UserError(
    `TEMPORAL_TLS is ${JSON.stringify(value.slice(0, 40))}, which Temporal's client would take for off. Nothing was sent.`,
    'Set it to true or 1 (TLS on), or to false or 0 (off), in lower case; or unset it.',
    ExitCode.usage,
  );
}

/** A key on a plain connection can be read by everyone on the way. On this machine there is nobody on the way. */
function checkPlainConnection({ apiKey, grpcMeta = {} }: ClientConfigProfile, address: string): void {
  const inHeader = Object.keys(grpcMeta).some((name) => name.toLowerCase() === 'authorization');
  if ((apiKey === undefined && !inHeader) || isLoopbackHost(address.replace(/:\d+$/, ''))) return;
  throw new UserError(
    `Temporal's ${apiKey === undefined ? 'authorization header' : 'API key'} would go to ${address} without TLS, readable for everyone on the way. Nothing was sent.`,
    'Set TEMPORAL_TLS=true, or unset it (an API key switches TLS on); in a config file, take out `disabled = true` below `tls`.',
    ExitCode.usage,
  );
}

/** gRPC puts these into headers and shows the whole value when it does not like a character in it. So we look first. */
function checkSecrets({ apiKey, grpcMeta = {} }: ClientConfigProfile): void {
  for (const [name, value] of Object.entries({ ...grpcMeta, 'API key': apiKey })) {
    if (value === undefined || apiKeyProblem(value) === null) continue;
    throw new UserError(
      `Temporal's ${name} holds characters that can't be sent, such as a line break.`,
      'Set it again; TEMPORAL_API_KEY, or its file, is one line without quotes.',
      ExitCode.usage,
    );
  }
}

/** What decides where a key goes, whatever the key comes from. */
const DESTINATION = /^TEMPORAL_(ADDRESS|TLS|TLS_.+)$/;
/** A profile says where its own key goes. That of a variable would go there as well. */
const PROFILE = /^TEMPORAL_(PROFILE|CONFIG_FILE)$/;

function checkSource(
  { apiKey, grpcMeta = {} }: ClientConfigProfile,
  settings: Record<string, string>,
  { path, names }: DotEnv,
): void {
  const isOfFile = (name: string): boolean => names.includes(name);
  const secrets = [
    ...(apiKey === undefined ? [] : ['TEMPORAL_API_KEY']),
    ...Object.keys(grpcMeta).map((name) => `TEMPORAL_GRPC_META_${name.toUpperCase().replaceAll('-', '_')}`),
  ].filter((name) => !isOfFile(name));
  const [secret] = secrets;
  if (secret === undefined) return;
  const isVariable = secrets.some((name) => settings[name] !== undefined);
  const destination = names.find((name) => DESTINATION.test(name) || (isVariable && PROFILE.test(name)));
  if (destination === undefined) return;
  const from = settings[`${secret}_FILE`] !== undefined ? `${secret}_FILE` : isVariable ? secret : 'the config file';
  throw redirects({ path, destination, secret: from, what: 'Temporal’s API key, or a header,' });
}

function checkTls({ tls }: ClientConfigProfile): void {
  if (tls === undefined || tls.disabled === true) return;
  const sources = {
    TLS_CLIENT_CERT: tls.clientCert,
    TLS_CLIENT_KEY: tls.clientKey,
    TLS_SERVER_CA_CERT: tls.serverCACert,
  };
  for (const [name, source] of Object.entries(sources)) {
    if (source !== undefined && 'path' in source) checkReadable(source.path, `TEMPORAL_${name}_PATH`);
  }
  // The library drops the half that is there, and the server's refusal would say nothing of the reason.
  if ((tls.clientCert === undefined) === (tls.clientKey === undefined)) return;
  const [given, wanted] = tls.clientCert ? ['certificate', 'KEY'] : ['key', 'CERT'];
  throw new UserError(
    `Temporal's TLS settings have a client ${given} without its other half.`,
    `Set TEMPORAL_TLS_CLIENT_${wanted}_PATH too, or neither.`,
    ExitCode.usage,
  );
}

function checkReadable(path: string, setting: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new UserError(
      `The file ${path} can't be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}).`,
      `Correct ${setting}, or the same entry of the config file.`,
      ExitCode.usage,
    );
  }
}

/** gRPC puts the key into a header, and shows the whole value when it does not like a character in it. So we look first. */
export const apiKeyProblem = (value: string): string | null =>
  /^[\x20-\x7e]+$/.test(value) ? null : 'it holds characters that cannot be sent, such as a line break';
