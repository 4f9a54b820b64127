import { toldOfSettings } from '../../src/platform/settings.js';
import { withTable } from './marked-table.js';

const rows = toldOfSettings().map(({ name, secret, byDefault, description }) => [
  secret === true ? `\`${name}\`, or \`${name}_FILE\`` : `\`${name}\``,
  byDefault,
  description,
  secret === true ? 'yes' : '',
]);

/** The page of settings with the table as it has to be now. @throws when the page has no place for it */
export const withSettingsTable = (page: string): Promise<string> =>
  withTable(page, {
    of: 'settings',
    made: 'Made from src/platform/settings.ts by scripts/settings-table.ts',
    rows: [['name', 'default', 'meaning', 'secret'], ...rows],
  });
