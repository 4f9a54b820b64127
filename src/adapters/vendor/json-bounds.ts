import { VENDOR_BOUNDS } from '../../core/bounds.js';

/**
 * A text this small can do no harm, whatever it holds: it is not looked at. Nearly all answers are, and the look would take a
 * seventh of the time that reading them takes.
 */
const HARMLESS_BYTES = VENDOR_BOUNDS.unchecked.most;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
/** Makes of a bracket the brace of the same side, and of nothing else a brace. */
const TO_BRACE = 0x20;

/**
 * What a text of JSON has too much of, told before it is parsed: a parser makes objects of it, which take many times the memory
 * of the text. Says nothing of whether it is JSON.
 *
 * Looks at bytes: in UTF-8, JSON's signs are no part of any other character.
 *
 * @returns for people, after "it"; null: nothing
 */
export function overBounds(json: Uint8Array): string | null {
  const { length } = json;
  if (length <= HARMLESS_BYTES) return null;
  let level = 0;
  let values = 1;
  let deepest = 0;
  for (let at = 0; at < length; at += 1) {
    const sign = json[at] ?? 0;
    if (sign === QUOTE) {
      for (at += 1; at < length && json[at] !== QUOTE; at += 1) if (json[at] === BACKSLASH) at += 1;
    } else if (sign === COMMA) {
      values += 1;
    } else if ((sign | TO_BRACE) === (OPEN_LIST | TO_BRACE)) {
      values += 1;
      level += 1;
      if (level > deepest) deepest = level;
    } else if ((sign | TO_BRACE) === (CLOSE_LIST | TO_BRACE)) {
      level -= 1;
    }
  }
  if (values > VENDOR_BOUNDS.values.most) return `holds more than ${VENDOR_BOUNDS.values.most} values`;
  return deepest > VENDOR_BOUNDS.depth.most ? 'is nested too deeply' : null;
}
