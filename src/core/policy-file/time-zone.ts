import { LINKED_ZONES } from './linked-zones.js';
import { bad, good, shown, type Reading } from './reading.js';
import { closest } from './suggest.js';

/** Abbreviations and what is meant by them, the likeliest first. ICU takes some of them for zones; no time zone database does. */
const ABBREVIATIONS: Readonly<Record<string, readonly string[]>> = {
  ACST: ['Australia/Adelaide'],
  ACDT: ['Australia/Adelaide'],
  AEST: ['Australia/Sydney', 'Australia/Brisbane'],
  AEDT: ['Australia/Sydney'],
  AET: ['Australia/Sydney'],
  AKST: ['America/Anchorage'],
  AKDT: ['America/Anchorage'],
  AST: ['America/Halifax', 'Asia/Riyadh'],
  ADT: ['America/Halifax'],
  AWST: ['Australia/Perth'],
  BRT: ['America/Sao_Paulo'],
  BST: ['Europe/London', 'Asia/Dhaka'],
  CAT: ['Africa/Maputo'],
  CDT: ['America/Chicago'],
  CEST: ['Europe/Berlin', 'Europe/Paris'],
  CST: ['America/Chicago', 'Asia/Shanghai'],
  CT: ['America/Chicago'],
  EAT: ['Africa/Nairobi'],
  ECT: ['Europe/Paris'],
  EDT: ['America/New_York'],
  EEST: ['Europe/Helsinki', 'Europe/Athens'],
  ET: ['America/New_York'],
  GST: ['Asia/Dubai'],
  HKT: ['Asia/Hong_Kong'],
  ICT: ['Asia/Bangkok'],
  IDT: ['Asia/Jerusalem'],
  IST: ['Asia/Kolkata', 'Europe/Dublin', 'Asia/Jerusalem'],
  JST: ['Asia/Tokyo'],
  KST: ['Asia/Seoul'],
  MDT: ['America/Denver'],
  MSK: ['Europe/Moscow'],
  MT: ['America/Denver'],
  NDT: ['America/St_Johns'],
  NST: ['America/St_Johns', 'Pacific/Auckland'],
  NZDT: ['Pacific/Auckland'],
  NZST: ['Pacific/Auckland'],
  PDT: ['America/Los_Angeles'],
  PHT: ['Asia/Manila'],
  PKT: ['Asia/Karachi'],
  PST: ['America/Los_Angeles'],
  PT: ['America/Los_Angeles'],
  SAST: ['Africa/Johannesburg'],
  SGT: ['Asia/Singapore'],
  SST: ['Pacific/Pago_Pago'],
  WEST: ['Europe/Lisbon'],
  WIB: ['Asia/Jakarta'],
  YDT: ['America/Anchorage'],
};

/** Zones that went under their present name into the database after CLDR had chosen the older one. */
const RENAMED: Readonly<Record<string, string>> = {
  'America/Buenos_Aires': 'America/Argentina/Buenos_Aires',
  'America/Indianapolis': 'America/Indiana/Indianapolis',
  'Asia/Calcutta': 'Asia/Kolkata',
  'Asia/Saigon': 'Asia/Ho_Chi_Minh',
  'Europe/Kiev': 'Europe/Kyiv',
};

/**
 * The name of a time zone as the IANA database has it, in its case. Two programs look it up: the Temporal server in Go's
 * database, by exact name, and Node in ICU's, which ignores case and knows names of its own (PST, SystemV/PST8). So a name
 * must be in the database, and Node must know it to show times in it.
 */
export function readTimeZone(value: unknown): Reading<string> {
  const form = 'Write a name such as Europe/Berlin or UTC.';
  if (typeof value !== 'string') return bad(`is ${shown(value)}, which is not a time zone`, form);
  const known = databaseNames();
  if (known.set.has(value) && knownToNode(value) !== null) return good(value);
  const abbreviated = ABBREVIATIONS[value.toUpperCase()];
  if (abbreviated !== undefined) {
    return bad(
      `is ${shown(value)}, an abbreviation, which Temporal does not know`,
      `Did you mean ${abbreviated.join(' or ')}?`,
    );
  }
  return bad(`is ${shown(value)}, which is not a time zone`, () => {
    const meant = meantBy(value, known.list);
    return meant === null ? form : `Did you mean ${meant}?`;
  });
}

let names: { readonly list: readonly string[]; readonly set: ReadonlySet<string> } | null = null;

/** Node takes some time to list them. */
function databaseNames(): NonNullable<typeof names> {
  if (names === null) {
    const list = [...Intl.supportedValuesOf('timeZone'), ...LINKED_ZONES];
    names = { list, set: new Set(list) };
  }
  return names;
}

function meantBy(value: string, known: readonly string[]): string | null {
  const inItsCase = known.find((zone) => zone.toLowerCase() === value.toLowerCase());
  if (inItsCase !== undefined) return inItsCase;
  const [, hoursWest, daylight] = /^SystemV\/[A-Z]{3}(\d+)([A-Z]{3})?$/.exec(value) ?? [];
  if (daylight !== undefined) return ABBREVIATIONS[daylight]?.[0] ?? null;
  if (hoursWest !== undefined) return `Etc/GMT+${hoursWest}`;
  // A name of ICU's own: the zone that it stands for there.
  const inIcu = knownToNode(value);
  const zone = inIcu === null ? undefined : (RENAMED[inIcu] ?? inIcu);
  if (zone !== undefined && known.includes(zone)) return zone;
  const city = value.toLowerCase().replaceAll(' ', '_');
  return known.find((zone) => zone.toLowerCase().endsWith(`/${city}`)) ?? closest(value, known);
}

/** What Node was asked before: making a formatter takes a millisecond. Names of the database alone, which are few. */
const asked = new Map<string, string | null>();

/** @returns what Node calls the zone; null: it does not know it */
function knownToNode(zone: string): string | null {
  const before = asked.get(zone);
  if (before !== undefined) return before;
  let called: string | null;
  try {
    called = new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    called = null;
  }
  if (databaseNames().set.has(zone)) asked.set(zone, called);
  return called;
}
