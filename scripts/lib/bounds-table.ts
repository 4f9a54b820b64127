import { FILE_BOUNDS, REQUEST_BOUNDS, VENDOR_BOUNDS, WORKFLOW_BOUNDS, type Bound } from '../../src/core/bounds.js';
import { withTable } from './marked-table.js';

const SECTIONS: readonly (readonly [string, Readonly<Record<string, Bound>>])[] = [
  ['the vendor', VENDOR_BOUNDS],
  ['files', FILE_BOUNDS],
  ['people and programs', REQUEST_BOUNDS],
  ['Temporal’s namespace', WORKFLOW_BOUNDS],
];

function inWords({ most, unit }: Bound): string {
  if (unit === 'bytes' && most >= 1024 && most % 1024 === 0) {
    return most % 1024 ** 2 === 0 ? `${most / 1024 ** 2} MiB` : `${most / 1024} KiB`;
  }
  return `${most.toLocaleString('en')} ${unit}`;
}

const rows = SECTIONS.flatMap(([from, bounds]) =>
  Object.values(bounds).map((bound) => [from, bound.of, inWords(bound), bound.beyond]),
);

/** A page of documentation with the table as it has to be now. @throws when the page has no place for it */
export const withBoundsTable = (page: string): Promise<string> =>
  withTable(page, {
    of: 'bounds',
    made: 'Made from src/core/bounds.ts by scripts/bounds-table.ts',
    rows: [['from', 'what', 'at most', 'what is more'], ...rows],
  });
