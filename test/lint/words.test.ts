import { describe, expect, it } from '@jest/globals';
import { PHRASES, phrasesIn } from '../../scripts/lib/words.mjs';

const found = (text: string): string[] => phrasesIn(text).map(({ found: phrase }) => phrase);

describe.each(PHRASES.map((entry) => [entry.bad, entry] as const))('the check of words on “%s”', (bad, entry) => {
  it('finds it, also across lines and in other case', () => {
    for (const text of [bad, bad.toUpperCase(), bad.replaceAll(' ', '\n')]) {
      expect(phrasesIn(text).map(({ instead }) => instead)).toContain(entry.instead);
    }
  });

  it('takes what is to be written instead', () => {
    expect(found(entry.good)).toEqual([]);
  });
});

it('the check of words says where a phrase begins', () => {
  expect(phrasesIn('Plan it.\nPlan anew.')).toEqual([{ at: 14, found: 'anew', instead: 'again' }]);
});
