import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { withBoundsTable } from '../scripts/lib/bounds-table.js';
import { withCommandTables } from '../scripts/lib/commands-table.js';
import { withSettingsTable } from '../scripts/lib/settings-table.js';
import { loadConfig } from '../src/platform/config.js';
import { toldOfSettings } from '../src/platform/settings.js';
import { OUTCOMES, SEARCH_ATTRIBUTES } from '../src/core/contract.js';
import { ExitCode } from '../src/core/errors.js';
import { ALERTS, EVENT_KINDS } from '../src/core/events.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);
/** As GitHub makes them. */
const anchorsOf = (page: string): string[] =>
  [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

/** Every setting, and the one that names a file for it. */
const settings = toldOfSettings().flatMap(({ name, secret }) => (secret === true ? [name, `${name}_FILE`] : [name]));
const ownSettings = settings.filter((name) => !name.startsWith('TEMPORAL_'));

it('the table of settings has all that the sources read by name', () => {
  const named = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => read(join('src', name)).match(/(?<=')(CURFEW|GUMLOOP|TEMPORAL)_[A-Z_]+(?=')/g) ?? []);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !settings.includes(name))).toEqual([]);
});

it.each([
  // After a change: npx tsx scripts/settings-table.ts, scripts/commands-table.ts, or scripts/bounds-table.ts
  ['docs/commands.md', withCommandTables],
  ['docs/settings.md', withSettingsTable],
  ['docs/security.md', withBoundsTable],
])('%s has the tables that the sources make', async (page, withTable) => {
  expect(read(page)).toBe(await withTable(read(page)));
});

describe('.env.example', () => {
  const lines = read('.env.example').split('\n');

  it('sets nothing by itself', () => {
    expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
  });

  it.each(settings)('has %s', (name) => {
    expect(
      lines.some((line) => line.startsWith(`#${name}=`) || line.startsWith(`#${name.replace(/_FILE$/, '')}=`)),
    ).toBe(true);
  });

  it('shows as defaults what the defaults are', () => {
    const shown = Object.fromEntries(
      lines.flatMap((line) => {
        const [, name, value] = /^#(CURFEW_\w+|GUMLOOP_BASE_URL)=(.+)$/.exec(line) ?? [];
        const isExample = name === undefined || /HOME|HTTP_ADDRESS|DATABASE_URL|POSTGRES/.test(name);
        return isExample || value === undefined ? [] : [[name, value]];
      }),
    ) as Record<string, string>;
    expect(Object.keys(shown).length).toBeGreaterThan(5);
    // A folder without .env.
    const withDefaults = loadConfig({}, join(root, 'docs'));
    expect(loadConfig(shown, join(root, 'docs'))).toEqual({ ...withDefaults, env: shown });
  });
});

describe('README.md', () => {
  it.each(ownSettings)('documents %s', (name) => {
    expect(read('README.md')).toContain(`\`${name}\``);
  });

  it.each(Object.values(ExitCode))('documents exit code %s', (code) => {
    expect(read('README.md')).toMatch(new RegExp(`^\\| ${code} +\\|`, 'm'));
  });
});

describe('docs/outcomes.md', () => {
  const page = read('docs/outcomes.md');

  it.each(OUTCOMES)('explains the outcome %s', (outcome) => {
    expect(page).toContain(`\`${outcome}\``);
  });

  it.each(EVENT_KINDS)('explains the event %s, and whether it alerts', (kind) => {
    const events = page.slice(page.indexOf('## Events')).split('\n');
    const eventRow = events.find((line) => line.split('|')[1]?.includes(`\`${kind}\``) === true);
    expect(eventRow?.split('|')[2]?.trim()).toBe(ALERTS.has(kind) ? 'alert' : '');
  });
});

it.each(Object.entries(SEARCH_ATTRIBUTES))('docs/operating.md adds the search attribute %s as %s', (name, type) => {
  expect(read('docs/operating.md')).toContain(`--name ${name} --type ${type}`);
  expect(read('docs/operating.md')).toContain(`--search-attribute ${name}=${type}`);
});

describe.each(pages)('%s', (page) => {
  it('has no dead link inside the repository', () => {
    const dead = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].filter(([, path = '', anchor]) => {
      const target = path === '' ? page : join(dirname(page), path);
      return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
    });
    expect(dead.map(([link]) => link)).toEqual([]);
  });

  it('names no source file that does not exist', () => {
    const named = [...read(page).matchAll(/`((?:src|workflows|activities|simulator|scripts|test|docs)\/[\w./-]*)`/g)];
    expect(named.map(([, path = '']) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
