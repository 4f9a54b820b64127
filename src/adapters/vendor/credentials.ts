import { ExitCode, UserError } from '../../core/errors.js';
import { createSecretFile, type SecretFile } from '../../platform/secret-file.js';

/** Who Curfew is at the vendor. Secrets live in closures only, so that no inspection of the object shows them. */
export interface Credentials {
  /**
   * Headers that authenticate one request. Key files that changed are read again.
   * @throws {UserError} when there is no usable credential: says what to set, and never shows any part of a secret
   */
  headers(): Promise<Record<string, string>>;
  /** Team that every request names, or null. The vendor checks a team key against it. */
  readonly teamId: string | null;
  /** Replaces every credential that is set, and those lately read from a file, by `[redacted]`, percent-encoded and in base64 as well. */
  redact(text: string): string;
  /** Kind and source of the credential, for people: "personal key from GUMLOOP_API_KEY_FILE". No secret. */
  describe(): string;
}

/** Secrets from a file that are still redacted after a rotation: a late answer may repeat the one it was asked with. */
const REMEMBERED_SECRETS = 16;

const NO_CREDENTIAL =
  'Set GUMLOOP_API_KEY (or GUMLOOP_API_KEY_FILE) and GUMLOOP_USER_ID, or GUMLOOP_ACCESS_TOKEN (or GUMLOOP_ACCESS_TOKEN_FILE).';

/**
 * Reads the credentials' settings. Nothing is opened and nothing is refused here: what is missing or wrong is said by
 * `headers()`, so that a worker can start, report it, and go on once it is repaired.
 *
 * When both an access token and an API key are set, the access token is used, as in the vendor's SDK and CLI. An API key,
 * personal or of a team, goes with the header `x-auth-key`; an access token goes alone.
 */
export function createCredentials(env: Readonly<Record<string, string | undefined>>): Credentials {
  const setting = (name: string): string | null => env[name]?.trim() || null;
  const token = secretSource('GUMLOOP_ACCESS_TOKEN', setting);
  const key = secretSource('GUMLOOP_API_KEY', setting);
  const source = token ?? key;
  const userId = setting('GUMLOOP_USER_ID');
  const teamId = setting('GUMLOOP_TEAM_ID');
  // Those set directly are known before their first use, and even when they are not used at all.
  const fixedSecrets = [setting('GUMLOOP_ACCESS_TOKEN'), setting('GUMLOOP_API_KEY')].filter(
    (secret) => secret !== null,
  );
  let fileSecrets: readonly string[] = [];

  function remember(secret: string): void {
    if (fixedSecrets.includes(secret) || fileSecrets[0] === secret) return;
    fileSecrets = [secret, ...fileSecrets.filter((known) => known !== secret)].slice(0, REMEMBERED_SECRETS);
  }

  async function secretOf(from: SecretSource): Promise<string> {
    const secret = await from.read();
    if (secret === null) throw refusal(`${from.name} cannot be used: ${from.trouble() ?? 'it is empty'}.`);
    return secret;
  }

  return {
    teamId,

    async headers() {
      if (source === null) throw refusal('No credential for the sessions API is set.');
      const secret = await secretOf(source);
      remember(secret);
      const authorization = `Bearer ${secret}`;
      if (source === token) return { authorization };
      if (userId === null) {
        throw refusal(
          `An API key is set in ${source.name}, but GUMLOOP_USER_ID is not.`,
          'Set GUMLOOP_USER_ID to the id of the user whom the key belongs to (with a team key: a member to act for).',
        );
      }
      if (headerProblem(userId) !== null) throw refusal(`GUMLOOP_USER_ID cannot be used: ${headerProblem(userId)}.`);
      return { authorization, 'x-auth-key': userId };
    },

    redact(text) {
      // Longest first: a key that begins another one would leave the rest of it standing.
      const secrets = [...fixedSecrets, ...fileSecrets].sort((a, b) => b.length - a.length);
      return secrets.flatMap(formsOf).reduce((left, form) => left.replace(form, '[redacted]'), text);
    },

    describe() {
      if (source === null) return 'no credential';
      const kind = source === token ? 'access token' : teamId === null ? 'personal key' : 'team key';
      const trouble = source.trouble();
      const notes = [
        source === token && key !== null ? `${key.name} is set too and not used` : null,
        trouble === null ? null : `not usable at present: ${trouble}; the last good value, if any, stays in use`,
      ].filter((note) => note !== null);
      return `${kind} from ${source.name}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
    },
  };
}

/** A setting that holds a secret, directly or by the name of a file. */
interface SecretSource extends SecretFile {
  /** Name of the environment variable. */
  readonly name: string;
}

function secretSource(name: string, setting: (name: string) => string | null): SecretSource | null {
  const fileName = `${name}_FILE`;
  const direct = setting(name);
  const path = setting(fileName);
  if (direct !== null && path !== null) {
    // Guessing would use a stale key after a rotation for one half of all readers.
    return fixed(`${name} and ${fileName}`, null, 'both are set, and only one of them may be');
  }
  if (direct !== null) {
    const problem = headerProblem(direct);
    return fixed(name, problem === null ? direct : null, problem);
  }
  return path === null ? null : { name: fileName, ...createSecretFile(path, headerProblem) };
}

const fixed = (name: string, value: string | null, trouble: string | null): SecretSource => ({
  name,
  read: () => Promise.resolve(value),
  trouble: () => trouble,
});

/** Tokens are visible ASCII. Anything else would break the header, or fail in Node with a message of its own. */
function headerProblem(value: string): string | null {
  return /^[\x21-\x7e]+$/.test(value)
    ? null
    : 'it holds a space, a line break or another character that cannot be in a request header';
}

/**
 * As it is, as it stands in a URL, and in base64 wherever it may begin in what was encoded. A value that is no token is never
 * sent, so nobody can repeat it in another form.
 */
function formsOf(secret: string): RegExp[] {
  const plain = patternOf(secret);
  if (headerProblem(secret) !== null) return [new RegExp(plain, 'g')];
  const encoded = [...secret].map((sign) => `(?:${patternOf(sign)}|%${hexOf(sign)})`).join('');
  return [new RegExp(plain, 'g'), new RegExp(encoded, 'gi'), ...base64Of(secret).map((form) => new RegExp(form, 'g'))];
}

const patternOf = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const hexOf = (sign: string): string => sign.charCodeAt(0).toString(16).padStart(2, '0');

/** Shorter ones would black out words that have nothing to do with it. */
const LEAST_BASE64 = 8;

/**
 * What base64 and base64url make of a secret behind 0, 1 or 2 other bytes: the letters that depend on the secret alone, with those
 * beside them that depend on it in part.
 */
const base64Of = (secret: string): string[] =>
  [0, 1, 2].flatMap((offset) => {
    const letters = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)])
      .toString('base64')
      .replace(/=+$/, '');
    const whole = letters.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + secret.length) * 8) / 6));
    if (whole.length < LEAST_BASE64) return [];
    const either = patternOf(whole)
      .replace(/\\\+|-/g, '[+-]')
      .replace(/\/|_/g, '[/_]');
    const before = offset === 0 ? '' : '[\\w+/-]?';
    return [`${before}${either}(?:[\\w+/-]?={0,2})`];
  });

const refusal = (message: string, next: string = NO_CREDENTIAL): UserError =>
  new UserError(message, next, ExitCode.usage);
