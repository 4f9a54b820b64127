import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  escapedJson,
  printable,
  printableData,
  printableJson,
  printableSource,
  terminalLine,
  terminalText,
  words,
  untrusted,
  joined,
  replaced,
  begun,
  type Printable,
} from '../../src/core/text/printable.js';
import { shell, shellWord } from '../../src/core/text/shell.js';
import '../support/property-seed.js';

/** Controls of both kinds, line ends of all kinds, direction, invisible signs, tags, half a pair. */
const SIGNS = [
  ...['\n', '\r', '\t', '\v', '\f', '\0', '\b', '\u007F', '\u0085', '\u009B', '\u001B[2J', '\u001B]0;title\u0007'],
  ...['\u2028', '\u2029', '\u202E', '\u2066', '\u200B', '\u200F', '\uFEFF', '\u00AD', '\u3164', '\u{E0041}', '\uD800'],
];
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const hostile = fc.string({
  unit: fc.oneof(fc.constantFrom(...SIGNS), fc.constantFrom('a', ' ', 'é', '漢', '👩'), fc.string({ unit: 'binary' })),
  maxLength: 40,
});

describe('text from outside', () => {
  it('is one line in which nothing steers the terminal or hides', () => {
    const name = 'evil\u001b[2J\u001b[31mred\nline2\u202Etxt.exe\u200B';
    expect(printable(name)).toBe('evil[2J[31mred line2txt.exe');
    for (const sign of SIGNS) expect(printable(`a${sign}b`)).not.toMatch(UNSAFE);
  });

  it('stays itself where it is harmless', () => {
    for (const text of ['support-bot', 'Ünïcödé 漢字 עברית', "it's [Prod] #1 · 5 €", '👩🏽'])
      expect(printable(text)).toBe(text);
  });

  it('is bounded, and cuts no character in two', () => {
    expect(printable('👩'.repeat(10), 4)).toBe('👩👩👩…');
    expect([...printable('x'.repeat(10_000))]).toHaveLength(600);
  });

  it('is safe whatever it is', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const line = printable(text, 30);
        expect(line).not.toMatch(UNSAFE);
        expect([...line].length).toBeLessThanOrEqual(30);
        expect(printable(line, 30)).toBe(line);
      }),
    );
  });
});

describe('data from outside', () => {
  it('is printable in every place, keys included, and else the same', () => {
    const at = new Date(0);
    const data = { n: 1, at, no: null, list: ['a\nb', { 'k\u001B': '\u202Ex' }], map: new Map([['a\nb', ['c\rd']]]) };
    expect(printableData(data)).toEqual({
      n: 1,
      at,
      no: null,
      list: ['a b', { k: 'x' }],
      map: new Map([['a b', ['c d']]]),
    });
  });
});

describe('JSON', () => {
  it('escapes what steers a terminal, and means the same', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const json = printableJson({ [text]: text });
        expect(json).not.toMatch(UNSAFE);
        expect(JSON.parse(json)).toEqual({ [text]: text });
      }),
    );
  });

  it('keeps the line ends of a line that is JSON already', () => {
    expect(escapedJson('{"a":"\u009B\u{E0041}"}\n')).toBe('{"a":"\\u009b\\udb40\\udc41"}\n');
  });
});

describe("a file of someone's", () => {
  it('keeps its lines and blanks, and nothing that steers the terminal', () => {
    expect(printableSource('a:\r\n    b:\t1  # \x1b[31mred\u202E\u2028\u200B\n')).toBe('a:\n    b:    1  # [31mred\n');
  });
});

describe('the last look before the terminal', () => {
  it('keeps lines and colours of ours, and no other sequence', () => {
    const words = '\u001B[1mbold\u001B[22m\n\u001B[2J\u001B]0;x\u0007\u202Eend\r';
    expect(terminalText(words)).toBe('\u001B[1mbold\u001B[22m\n[2J]0;xend');
    expect(terminalLine(words)).toBe('\u001B[1mbold\u001B[22m [2J]0;xend ');
  });
});

describe('a word of a command', () => {
  it.each([
    ['sess_xYz789AbCd', 'sess_xYz789AbCd'],
    ['a;id', "'a;id'"],
    ["it's", "'it'\\''s'"],
    ['$(id)', "'$(id)'"],
    ['~root', "'~root'"],
    ['=ls', "'=ls'"],
    ['--all', "'--all'"],
    ['', "''"],
    ['a\nb', "'a b'"],
  ])('%j is written as %s', (word, written) => expect(shellWord(word)).toBe(written));

  it('is quoted by the template', () => {
    expect(shell`curfew policy plan ${'my file.yaml'} --limit ${'3'}`).toBe(
      "curfew policy plan 'my file.yaml' --limit 3",
    );
  });
});

describe('the types', () => {
  it('let nothing into words but what is printable, a number, or ours', () => {
    const [name, ours]: [string, 'a' | 'b'] = ['evil\n', 'a'];
    expect(words`Agent ${printable(name)}, ${3} of ${ours}`).toBe('Agent evil, 3 of a');
    // @ts-expect-error -- a string that can be any
    expect(words`Agent ${name}`).toContain('\n');
    // @ts-expect-error -- a text of others
    expect(words`Agent ${untrusted(name)}`).toContain('\n');
    // @ts-expect-error -- nobody has looked at it
    const line: Printable = name;
    expect(line).toBe(name);
    // @ts-expect-error -- nor is it a string that could be put anywhere
    const text: string = untrusted(name);
    expect(text).toBe(name);
    expect(printable(untrusted(name))).toBe('evil');
  });

  it('keep what is printable so', () => {
    expect(joined([printable('a\n'), words`b`], ', ')).toBe('a, b');
    expect(replaced(printable('a<b'), [['<', '&lt;']])).toBe('a&lt;b');
    expect(begun(printable('abc&am'), 6, /&[a-z]*$/)).toBe('abc');
  });
});
