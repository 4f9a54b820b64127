/** What a scrape showed, by sample. */
export interface Scrape {
  readonly text: string;
  /** Value of one sample; undefined: it is not there. Labels in any order. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** Samples of a metric: labels and value. */
  all(name: string): readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
  /** All values of a metric whose labels fit, added. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
}

export async function scrape(url: string): Promise<Scrape> {
  const answer = await fetch(`${url}/metrics`);
  if (!answer.ok) throw new Error(`${url}/metrics answered ${answer.status}`);
  return readExposition(await answer.text());
}

export function readExposition(text: string): Scrape {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', inner = '', value = ''] = /^([\w:]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const labels = [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', said = '']) => [
        label,
        said,
      ]);
      return { name, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(value) };
    });
  const all = (name: string) => samples.filter((sample) => sample.name === name);
  const fit = (labels: Record<string, string>, wanted: Readonly<Record<string, string>>): boolean =>
    Object.entries(wanted).every(([label, value]) => labels[label] === value);
  return {
    text,
    all,
    value: (name, wanted = {}) =>
      all(name).find(({ labels }) => fit(labels, wanted) && Object.keys(labels).length === Object.keys(wanted).length)
        ?.value,
    sum: (name, wanted = {}) =>
      all(name)
        .filter(({ labels }) => fit(labels, wanted))
        .reduce((sum, { value }) => sum + value, 0),
  };
}
