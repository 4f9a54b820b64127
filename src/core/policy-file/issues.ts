import * as z from 'zod';
import { error, isPlainKey, label, type Finding, type Path, suggestionIn } from './finding.js';
import { kindOf, shown } from './reading.js';
import { fileSchema } from './schema.js';
import { didYouMean } from './suggest.js';

type Issue = z.core.$ZodIssue;

/** What the schema refuses, in words and with suggestions. */
export function findingsOf(issues: readonly Issue[], data: unknown): Finding[] {
  return settled(issues).flatMap((issue) => findingsOfOne(issue, data, []));
}

/** A misspelt key explains why its mapping seems to lack one. */
function settled(issues: readonly Issue[]): readonly Issue[] {
  const misspelt = issues.filter(({ code }) => code === 'unrecognized_keys').map(({ path }) => path.join('\0'));
  return issues.filter(({ code, path }) => code !== 'custom' || !misspelt.includes(path.join('\0')));
}

function findingsOfOne(issue: Issue, data: unknown, above: Path): Finding[] {
  const path = [...above, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  switch (issue.code) {
    case 'custom':
      return [error(path, `${label(path)} ${issue.message}`, suggestionIn(issue))];
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key], key));
    case 'invalid_type':
      return [wrongKind(path, issue.expected, valueAt(data, path))];
    case 'too_small':
      return [error(path, `${label(path)} is an empty list`, 'List at least one, or remove the line.')];
    case 'too_big':
      return [error(path, `${label(path)} holds more than ${issue.maximum} entries`, 'Split the file.')];
    case 'invalid_union': {
      // The form that was meant: the one that does not already fail on what kind of thing this is.
      const isMapping = kindOf(valueAt(data, path)) === 'a mapping';
      const meant = issue.errors.find(
        (form) => form.some(({ code }) => code === 'custom') !== isMapping || deeper(form),
      );
      return (meant ?? issue.errors[0] ?? []).flatMap((inner) => findingsOfOne(inner, data, path));
    }
    default:
      return [error(path, `${label(path)}: ${issue.message}`)];
  }
}

const deeper = (form: readonly Issue[]): boolean => form.some(({ path }) => path.length > 0);

function wrongKind(path: Path, expected: string, value: unknown): Finding {
  const wanted = expected === 'array' ? 'a list' : 'a mapping';
  if (value === undefined) return error(path, `${label(path)} is missing`, missingHint(path));
  if (value === null) return error(path, `${label(path)} has no value`, 'Give it a value, or remove the line.');
  const message = `${label(path)} is ${kindOf(value)}, but must be ${wanted}`;
  const words = /^(agents|creators|teams|states|notify)$/.test(String(path.at(-1)));
  if (wanted === 'a list') {
    const example = words && typeof value === 'string' ? shown(value) : '…';
    return error(path, message, `Write a list: ${String(path.at(-1))}: [${example}]`);
  }
  return error(path, message, `Write it as key: value, each on a line of its own.${keysHint(path)}`);
}

function missingHint(path: Path): string | null {
  const last = path.at(-1);
  if (last === 'match') return 'For all sessions: match: { agents: ["*"] }';
  if (last === 'limits') return 'For example: limits: { max_runtime: 45m }';
  return null;
}

const keysHint = (path: Path): string => {
  const keys = keysAt(path);
  return keys.length === 0 ? '' : ` Keys: ${keys.join(', ')}.`;
};

const NO_MERGING =
  'Merging is not supported, so that each policy shows all of its rules; an alias for a whole value works.';

function unknownKey(path: Path, key: string): Finding {
  const known = keysAt(path.slice(0, -1));
  const meant = (): string | null => (key === '<<' ? NO_MERGING : didYouMean(key, known));
  const list = known.length === 0 ? null : `Known here: ${known.join(', ')}.`;
  // Among the routes, what looks like an unknown key may be an address or secret that lacks its key.
  const untold = path[0] === 'notify' && meant() === null;
  const name = untold ? 'this key' : isPlainKey(key) || key === '<<' ? key : shown(key);
  const finding = error(path, `${name} is not known here`, () => meant() ?? belongsElsewhere(key, path) ?? list);
  return { ...finding, at: 'key', ...(untold ? { untold } : {}) };
}

/** A key that is right, in the wrong place: a limit beside `limits`, or `mode` within. */
function belongsElsewhere(key: string, path: Path): string | null {
  const here = path.slice(0, -1);
  for (let above = here; above.length > 0; above = above.slice(0, -1)) {
    const parent = above.slice(0, -1);
    if (keysAt(parent).includes(key)) return `It belongs beside ${label(above)}, not inside.`;
  }
  for (const sibling of keysAt(here)) {
    if (keysAt([...here, sibling]).includes(key)) return `It belongs under ${sibling}.`;
  }
  return null;
}

/** The keys that a mapping at this place may have. */
function keysAt(path: Path): string[] {
  let schema: z.core.$ZodType | undefined = fileSchema;
  for (const part of path) {
    const holder: z.core.$ZodType | undefined = mappingOrList(schema);
    if (holder instanceof z.ZodObject) schema = (holder.shape as Record<string, z.ZodType>)[String(part)];
    else if (holder instanceof z.ZodArray) schema = holder.element;
    else if (holder instanceof z.ZodRecord) schema = holder.valueType;
    else return [];
  }
  const found = mappingOrList(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function mappingOrList(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional) return mappingOrList(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.find((option) => option instanceof z.ZodObject);
  return schema;
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
