/** Keys and indexes from the root of the file. */
export type Path = readonly (string | number)[];

/** Something found at a place that is named by its path; the line is looked up afterwards. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly path: Path;
  /** Set when the end of the path must not be told: keys at its end that may hold a secret. */
  readonly untold?: true;
  /** Whether it is about the key or its value. */
  readonly at: 'key' | 'value';
  /** What the path does not say. */
  readonly message: string;
  /** As a function where it takes time to find: it is found only for what is shown. */
  readonly suggestion: Suggestion;
}

export type Suggestion = string | null | (() => string | null);

/** That of a value which the schema refuses: its checks leave it among the parameters of what they report. */
export const suggestionIn = ({ params }: { readonly params?: Record<string, unknown> | undefined }): Suggestion =>
  (params?.['suggestion'] as Suggestion | undefined) ?? null;

export const suggestionText = (suggestion: Suggestion): string | null =>
  typeof suggestion === 'function' ? suggestion() : suggestion;

export const error = (path: Path, message: string, suggestion: Suggestion = null): Finding => ({
  severity: 'error',
  path,
  at: 'value',
  message,
  suggestion,
});

export const warning = (path: Path, message: string, suggestion: Suggestion = null): Finding => ({
  ...error(path, message, suggestion),
  severity: 'warning',
});

/** A key as it can be told anywhere. What does not look like one may be a value, even a secret, in the wrong place. */
export const isPlainKey = (key: string): boolean => /^[\w-]{1,60}$/.test(key);

/** `policies[0].limits.max_runtime`; odd keys are left out. */
export const pathText = (path: Path): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const name = isPlainKey(part) ? part : '…';
    return text === '' ? name : `${text}.${name}`;
  }, '');

/** What a message begins with: the last name of the path, with its index if it is in a list. */
export function label(path: Path): string {
  const names = path.findLastIndex((part) => typeof part === 'string');
  return names < 0 ? 'the file' : pathText(path.slice(names));
}
