import { describe, expect, it } from '@jest/globals';
import { utf8Text } from '../../src/core/text/encoding.js';

describe('a file', () => {
  it.each([
    ['with a mark', Buffer.from('\uFEFFversion: 1\n', 'utf16le')],
    ['with the other mark', Buffer.from('\uFEFFversion: 1\n', 'utf16le').swap16()],
    ['without one', Buffer.from('version: 1\n', 'utf16le')],
    ['without one, the other way', Buffer.from('version: 1\n', 'utf16le').swap16()],
  ])('in UTF-16 is known as such: %s', (_what, bytes) => expect(utf8Text(bytes)).toEqual({ encoding: 'utf-16' }));

  it('in UTF-8 is its text, without a mark', () => {
    expect(utf8Text(Buffer.from('\uFEFFcafé\n'))).toEqual({ text: 'café\n' });
    expect(utf8Text(Buffer.from(''))).toEqual({ text: '' });
  });

  it('in another encoding is told with the line', () => {
    expect(utf8Text(Buffer.from('version: 1\nname: café\n', 'latin1'))).toEqual({ encoding: 'other', line: 2 });
  });
});
