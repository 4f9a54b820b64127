/** Numbers in [0, 1), the same sequence for the same seed (the mulberry32 generator: small, and good enough for faults). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Makes ids in the vendor's manner, for example `sess_` and twelve letters or digits. */
export type NewId = (prefix: 'agent' | 'sess' | 'msg' | 'qmsg' | 'ask') => string;

export function idsFrom(random: () => number): NewId {
  return (prefix) => {
    let id = `${prefix}_`;
    for (let i = 0; i < 12; i++) id += ALPHABET.charAt(Math.floor(random() * ALPHABET.length));
    return id;
  };
}
