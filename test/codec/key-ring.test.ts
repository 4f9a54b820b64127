import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { readKeyRing } from '../../src/adapters/codec/key-ring.js';

const key = (): string => randomBytes(32).toString('base64');
const secret = key();

describe('a file of keys', () => {
  it('encrypts with the first key and decrypts with all, whatever their ids look like', () => {
    const ring = readKeyRing(`# newest first\n2026-11: ${secret}\n007: ${key()}\nyes: "${key()}"\n`);
    if ('problem' in ring) throw new Error(ring.problem);
    expect(ring.primaryId).toBe('2026-11');
    expect([...ring.keys.keys()]).toEqual(['2026-11', '007', 'yes']);
    expect(ring.keys.get('2026-11')?.export().toString('base64')).toBe(secret);
  });

  it('may be JSON', () => {
    expect(readKeyRing(JSON.stringify({ k2: secret, k1: key() }))).toMatchObject({ primaryId: 'k2' });
  });

  it.each([
    ['nothing', '', 'it holds no lines "id: key"'],
    ['a bare key', secret, 'it holds no lines "id: key"'],
    ['a list', `- ${secret}`, 'it holds no lines "id: key"'],
    ['no keys', '{}', 'it holds no lines "id: key"'],
    ['a key that is cut', `k1: ${secret.slice(0, -4)}`, 'the key of entry 1 is not 32 bytes in base64'],
    ['a key with a stray character', `k1: "${secret.slice(0, 9)} ${secret.slice(9)}"`, 'the key of entry 1'],
    ['a key of 16 bytes', `k1: ${randomBytes(16).toString('base64')}`, 'the key of entry 1 is not 32 bytes'],
    ['a key within', `k1:\n  k2: ${secret}`, 'the key of entry 1 is not 32 bytes in base64'],
    ['an id twice', `k1: ${secret}\nk1: ${key()}`, 'the id of entry 2 is there twice'],
    ['id and key swapped', `k0: ${key()}\n"${secret}": k1`, 'the id of entry 2 is not 1 to 64 letters'],
    ['broken YAML', `k1: ${key()}\nk2: "${secret}`, 'line 2 is not "id: key"'],
    ['a tab', `k1:\n\t${secret}`, 'line 2 is not "id: key"'],
  ])('is refused with %s, and no key is shown', (_, text, problem) => {
    const ring = readKeyRing(text);
    expect('problem' in ring && ring.problem).toContain(problem);
    expect(JSON.stringify(ring)).not.toContain(secret.slice(0, 8));
  });
});
