/**
 * How much Curfew takes of what comes from outside: every size and every length in one place, each with its unit. docs/security.md
 * shows them as a table that is made from here. Pure, so that workflows, the policy core, commands and tests may all import it.
 */

type BoundUnit = 'bytes' | 'characters' | 'items' | 'values' | 'levels' | 'pages' | 'times the page size' | 'units';

export interface Bound {
  /** The most that is taken. */
  readonly most: number;
  /** Bytes are those of UTF-8; characters are code points. */
  readonly unit: BoundUnit;
  /** What is measured; for people. */
  readonly of: string;
  /** What becomes of more than that; for people. */
  readonly beyond: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;

const UNKNOWN = 'is unknown, and what is unknown ends nothing';
const UNREADABLE = 'Curfew stops reading; the answer is unreadable';
const REFUSED = 'refused: exit code 2, or an error of the update';

const REFUSED_FILE = 'refused with exit code 2; Curfew reads no further';

/** What the vendor answers. */
export const VENDOR_BOUNDS = {
  answer: {
    most: 8 * MIB,
    unit: 'bytes',
    of: 'an answer, decompressed; a session with its transcript is read in pieces and bounded by time alone',
    beyond: UNREADABLE,
  },
  listItems: { most: 10, unit: 'times the page size', of: 'items on a page of a list', beyond: UNREADABLE },
  unpagedItems: { most: 10_000, unit: 'items', of: 'items of a list that is asked for whole', beyond: UNREADABLE },
  values: {
    most: 200_000,
    unit: 'values',
    of: 'texts, numbers, lists and objects in an answer that is read whole',
    beyond: UNREADABLE,
  },
  listed: { most: 100_000, unit: 'items', of: 'items of a list, all pages together', beyond: 'the list is incomplete' },
  listPages: { most: 1_000, unit: 'pages', of: 'pages of a list', beyond: 'the list is incomplete' },
  depth: {
    most: 10_000,
    unit: 'levels',
    of: 'lists and objects inside one another, in a session or an answer of over 64 KiB',
    beyond: UNREADABLE,
  },
  unchecked: {
    most: 64 * KIB,
    unit: 'bytes',
    of: 'an answer whose values are not counted',
    beyond: 'its values are counted before it is parsed',
  },
  error: { most: 64 * KIB, unit: 'bytes', of: 'the answer of a refusal', beyond: 'its status alone counts' },
  text: {
    most: 4_096,
    unit: 'characters',
    of: 'a text or number in a session that is read in pieces',
    beyond: UNKNOWN,
  },
  cursor: { most: 2_000, unit: 'characters', of: 'the cursor to the next page', beyond: UNREADABLE },
  pathId: {
    most: 248,
    unit: 'bytes',
    of: 'the id of a session, agent or trigger, with at most 200 characters',
    beyond: `from people: ${REFUSED}; from the vendor: a gap in coverage`,
  },
  id: {
    most: 200,
    unit: 'bytes',
    of: 'any other id: of a message, creator or team',
    beyond: `${UNKNOWN}; a message is known by a hash, its time or its place`,
  },
  email: { most: 320, unit: 'bytes', of: 'the address of a creator', beyond: UNKNOWN },
  state: {
    most: 100,
    unit: 'characters',
    of: 'a state, channel, role or type',
    beyond: 'is an unknown one, and kept shortened',
  },
  name: {
    most: 500,
    unit: 'characters',
    of: 'a name of a session, agent or team',
    beyond: 'is shortened, and unknown to the rules that compare it',
  },
  scalar: { most: 64, unit: 'characters', of: 'a time, or a number written as text', beyond: UNKNOWN },
  amount: { most: Number.MAX_SAFE_INTEGER, unit: 'units', of: 'credits, tokens, counts', beyond: UNKNOWN },
  errorMessage: { most: 200, unit: 'characters', of: 'the message of a refusal', beyond: 'is shortened' },
  errorCode: { most: 100, unit: 'characters', of: 'the code of a refusal', beyond: 'is shortened' },
} as const satisfies Record<string, Bound>;

/** What people write into files. */
export const FILE_BOUNDS = {
  policyFile: { most: 1_000_000, unit: 'characters', of: 'a policy file', beyond: REFUSED_FILE },
  policyAliases: { most: 1_000, unit: 'items', of: 'aliases, and anchors, of a policy file', beyond: REFUSED_FILE },
  policyKeys: { most: 50_000, unit: 'items', of: 'keys of a policy file', beyond: REFUSED_FILE },
  policyValues: {
    most: 200_000,
    unit: 'values',
    of: 'texts, numbers, lists and mappings of a policy file, those that aliases repeat included',
    beyond: REFUSED_FILE,
  },
  policyLevels: {
    most: 40,
    unit: 'levels',
    of: 'lists and mappings inside one another in a policy file',
    beyond: REFUSED_FILE,
  },
  policyFindings: {
    most: 100,
    unit: 'items',
    of: 'problems, and warnings, of a policy file that are shown',
    beyond: 'the others are counted',
  },
  idsLine: {
    most: MIB,
    unit: 'bytes',
    of: 'a line, or a row of CSV, of a file of ids',
    beyond: 'refused, with its line and exit code 2; no plan is left',
  },
} as const satisfies Record<string, Bound>;

/** What people and other programs give: texts of orders, watches and bulk jobs. */
export const REQUEST_BOUNDS = {
  line: { most: 200, unit: 'characters', of: 'a reason, or a name of who asks', beyond: REFUSED },
  actor: {
    most: 64,
    unit: 'characters',
    of: 'a name given with `--as` or `CURFEW_ACTOR`',
    beyond: 'refused with exit code 2; the setting is shortened',
  },
} as const satisfies Record<string, Bound>;

const REFUSED_INPUT = 'an input ends the workflow with a message; an update is refused, and leaves no history';

/** What whoever may write to the namespace sends to our workflows. Lengths are in UTF-16 units. */
export const WORKFLOW_BOUNDS = {
  word: {
    most: 200,
    unit: 'units',
    of: 'an id of a session, order or plan, a name of a route or cleanup, a time, a claimed name, in UTF-16',
    beyond: REFUSED_INPUT,
  },
  /** The same as on the command line would fit many times. */
  text: { most: 2_000, unit: 'units', of: 'a reason, in UTF-16', beyond: REFUSED_INPUT },
  argument: {
    most: 20_000,
    unit: 'units',
    of: 'an input or argument as a whole, as JSON in UTF-16',
    beyond: REFUSED_INPUT,
  },
  /** JavaScript can parse more levels than it can write. */
  depth: { most: 100, unit: 'levels', of: 'lists and objects inside one another in the same', beyond: REFUSED_INPUT },
} as const satisfies Record<string, Bound>;

/** Characters of an id of a session or agent: see {@link VENDOR_BOUNDS}.pathId for its bytes. */
export const PATH_ID_CHARACTERS = 200;
