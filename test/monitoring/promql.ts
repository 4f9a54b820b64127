/** Just enough of PromQL to see which metrics and labels an expression is about. Prometheus itself checks the rest. */
export interface Selected {
  readonly metric: string;
  /** Labels that are matched on. */
  readonly labels: readonly string[];
}

/** Metrics that an expression names, among those with one of the prefixes. */
export function selectedBy(expr: string, ...prefixes: readonly string[]): Selected[] {
  return [...withoutTexts(expr).matchAll(/([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?/g)]
    .map(([, metric = '', matchers = '']) => ({ metric, labels: [...matchers.matchAll(/(\w+)\s*[=!]/g)].map(first) }))
    .filter(({ metric }) => prefixes.some((prefix) => metric.startsWith(prefix)));
}

/** Labels that are kept, or matched between two sides. */
export const groupedBy = (expr: string): string[] =>
  [...withoutTexts(expr).matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap((group) =>
    first(group)
      .split(',')
      .map((label) => label.trim())
      .filter((label) => label !== ''),
  );

const withoutTexts = (expr: string): string => expr.replace(/"[^"]*"/g, '""');
const first = (match: RegExpMatchArray): string => match[1] ?? '';
