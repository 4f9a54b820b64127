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
/** As GitHub makes it of a title. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
const withoutCode = (text: string): string => text.replace(/^( *)```.*?^\1```$/gms, '');
const anchorsOf = (page: string): string[] =>
  [...withoutCode(read(page)).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title));

/** What else refers to pages: sources, alert rules, dashboards, examples of settings. */
const withReferences = [
  '.env.example',
  'docker-compose.yml',
  ...['src', 'simulator', 'scripts', 'deploy', 'examples', 'activities', 'workflows'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|js|mjs|sh|ya?ml|json|env)$/.test(name))
      .map((name) => join(folder, name)),
  ),
];

/** A cell that is longer is a sentence or two: a list or a section reads better. */
const LONGEST_CELL = 120;
const cellsOf = (page: string): string[] =>
  withoutCode(read(page))
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^[|\s:-]+$/.test(line))
    .flatMap((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));

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

it.each(ownSettings)('docs/settings.md documents %s', (name) => {
  expect(read('docs/settings.md')).toContain(`\`${name}\``);
});

it.each(Object.values(ExitCode))('docs/commands.md documents exit code %s', (code) => {
  expect(read('docs/commands.md')).toMatch(new RegExp(`^\\| ${code} +\\|`, 'm'));
});

it('README.md has the commands that .ci/run and scripts/check-bare-machine.sh run, and at most 120 lines', () => {
  const readme = read('README.md');
  expect(readme).toContain('npm ci && npm run demo');
  expect(readme).toContain('npm ci && npm test');
  expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(120);
});

it('docs/README.md lists every page', () => {
  // The index of the runbook lists its parts.
  const listed = pages.filter((page) => /^docs\/(?!README|runbook-)/.test(page));
  const missing = listed.filter((page) => !read('docs/README.md').includes(`](${page.slice('docs/'.length)})`));
  expect(missing).toEqual([]);
});

it('no source, rule or setting names a page or a heading of docs/ that does not exist', () => {
  const named = withReferences.flatMap((path) =>
    [...read(path).matchAll(/docs\/([\w-]+\.md)(?:#([\w-]+)|, ["“]([^"”]+)["”])?/g)].map(
      ([reference, page = '', anchor, title]) => ({ reference: `${path}: ${reference}`, page, anchor, title }),
    ),
  );
  expect(named.length).toBeGreaterThan(50);
  const wrong = named.filter(({ page, anchor, title }) => {
    const target = `docs/${page}`;
    if (!existsSync(join(root, target))) return true;
    const asked = anchor ?? (title === undefined ? undefined : anchorOf(title));
    return asked !== undefined && !anchorsOf(target).includes(asked);
  });
  expect(wrong.map(({ reference }) => reference)).toEqual([]);
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
  it('has at most 250 lines, and no table cell of over 120 characters', () => {
    expect(read(page).trimEnd().split('\n').length).toBeLessThanOrEqual(250);
    expect(cellsOf(page).filter((cell) => cell.length > LONGEST_CELL)).toEqual([]);
  });

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
