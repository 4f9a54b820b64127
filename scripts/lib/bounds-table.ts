import { format } from 'prettier';
import { FILE_BOUNDS, REQUEST_BOUNDS, VENDOR_BOUNDS, WORKFLOW_BOUNDS, type Bound } from '../../src/core/bounds.js';

const BEGIN = '<!-- Made from src/core/bounds.ts by scripts/bounds-table.ts. -->';
const END = '<!-- End of the table of bounds. -->';

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
  Object.values(bounds).map((bound) => `| ${from} | ${bound.of} | ${inWords(bound)} | ${bound.beyond} |`),
);

/** A page of documentation with the table as it has to be now. @throws when the page has no place for it */
export async function withBoundsTable(page: string): Promise<string> {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`The page lacks ${BEGIN} and ${END}.`);
  const table = ['| from | what | at most | what is more |', '| --- | --- | --- | --- |', ...rows].join('\n');
  const whole = `${page.slice(0, begin)}${BEGIN}\n\n${table}\n\n${page.slice(end)}`;
  return format(whole, { parser: 'markdown', printWidth: 120 });
}
