import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { payloadEncryption } from '../../adapters/codec/encryption.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { createSecretFile, type SecretFile } from '../../platform/secret-file.js';
import { readEmbeddedNote } from '../../adapters/temporal/server-note.js';
import { commandLog } from '../command-log.js';
import { contextOf } from '../context.js';
import { onInterrupt } from '../interrupt.js';

/** Where `temporalio/ui` and the compose file have it. */
const UI_ORIGIN = 'http://127.0.0.1:8080';

export function registerCodecServer(program: Command): void {
  commandNamed(program, 'codec-server')
    .description(
      'Serves Temporal’s remote codec protocol in the foreground: its UI and CLI send encrypted payloads and get readable ones back. Needs the workers’ keys (CURFEW_CODEC_KEYS_FILE). Anyone who may ask it can read what Curfew keeps in Temporal.',
    )
    .option('--port <number>', 'port; 0 for a free one', '8081')
    .option('--host <address>', 'address to listen on; any but this machine needs CURFEW_CODEC_TOKEN_FILE', '127.0.0.1')
    .option('--origin <origin...>', 'origins of the UI; default: the server that `curfew up` runs here')
    .addHelpText(
      'after',
      `
Examples:
  $ curfew codec-server --origin http://127.0.0.1:8080
  $ temporal workflow show --workflow-id cancel/sess_1 --codec-endpoint http://127.0.0.1:8081

In the UI: the glasses at the top right, “Codec Server endpoint”. With a token, the CLI takes --codec-auth 'Bearer …'.`,
    )
    .action(async (options: { port: string; host: string; origin?: string[] }, command: Command) => {
      const { config, out } = contextOf(command);
      const port = portOf(options.port);
      const origins = originsOf(options.origin ?? [embeddedUi(config.home) ?? UI_ORIGIN]);
      const encryption = payloadEncryption(config.env);
      const keys = await encryption.check();
      if (keys === null) {
        throw new UserError(
          'Payload encryption is off here, so there is nothing to decrypt. Nothing was started.',
          'Set CURFEW_CODEC_KEYS_FILE as your workers do.',
          ExitCode.usage,
        );
      }
      if (keys.warning !== null) commandLog(config).warn(keys.warning);
      const token = await tokenOf(config.env['CURFEW_CODEC_TOKEN_FILE']?.trim());
      const { startCodecServer } = await import('../../adapters/codec/server.js');
      const interrupt = onInterrupt();
      const server = await startCodecServer({ codec: encryption.codec, host: options.host, port, origins, token });
      const { url } = server;
      const document = { url, origins, token: token !== null, keyId: keys.keyId };
      out.result(document, document, (served) =>
        [
          `Codec server at ${served.url}, ${served.token ? 'with a token' : 'without a token'}; pages of ${served.origins.join(', ')} may ask. Ctrl-C ends it.`,
          shell`  temporal workflow show --workflow-id cancel/SESSION --codec-endpoint ${served.url}`,
        ].join('\n'),
      );
      await new Promise<void>((resolve) => {
        if (interrupt.signal.aborted) resolve();
        else interrupt.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await server.close();
    });
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UserError(`"${text}" is not a port.`, 'Give a number from 0 to 65535: --port 8081.', ExitCode.usage);
}

/** Browsers reach the same page by either name of the loopback interface, and take them for two origins. */
function originsOf(given: readonly string[]): string[] {
  const origins = given.map((text) => {
    const origin = URL.canParse(text) ? new URL(text).origin : 'null';
    if (/^https?:/.test(origin)) return origin;
    throw new UserError(
      `${JSON.stringify(text.slice(0, 80))} is not the origin of a web page.`,
      'Give scheme, host and port: --origin http://127.0.0.1:8080.',
      ExitCode.usage,
    );
  });
  const twins = origins.flatMap((origin) => {
    const url = new URL(origin);
    const twin = { '127.0.0.1': 'localhost', localhost: '127.0.0.1' }[url.hostname];
    if (twin === undefined) return [];
    url.hostname = twin;
    return [url.origin];
  });
  return [...new Set([...origins, ...twins])];
}

const embeddedUi = (home: string): string | null => readEmbeddedNote(home)?.uiUrl ?? null;

const TOKEN_CHARACTERS = 16;

async function tokenOf(path: string | undefined): Promise<SecretFile | null> {
  if (!path) return null;
  const file = createSecretFile(path, (text) =>
    /^[\x21-\x7e]+$/.test(text) && text.length >= TOKEN_CHARACTERS
      ? null
      : `it does not hold one word of ${TOKEN_CHARACTERS} characters or more`,
  );
  if ((await file.read()) !== null) return file;
  throw new UserError(
    `The file of CURFEW_CODEC_TOKEN_FILE can't be used: ${file.trouble() ?? 'it is empty'}. Nothing was started.`,
    'Put the output of `openssl rand -hex 32` into it.',
    ExitCode.usage,
  );
}
