import ms from 'ms';
import * as z from 'zod';

/** A duration as people write it: a number of milliseconds, or a string with a unit such as `90s` or `45m`. Parsed to ms. */
export const duration = z.custom<number | string>().transform((given, context) => {
  const value = typeof given === 'string' ? fromText(given) : given;
  if (typeof value === 'number' && value >= 0) return value;
  const message = `${JSON.stringify(given)} is not a duration; write ms as a number, or a text such as "90s" or "45m"`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

// A bare number in quotes would be taken as ms without anybody having said so.
function fromText(text: string): number | undefined {
  return /[a-z]/i.test(text) && text.length <= 100 ? ms(text as ms.StringValue) : undefined;
}

/** A duration, or one of a few words. */
export function durationOr<const Word extends string>(...words: Word[]) {
  const choices = words.map((word) => `"${word}"`).join(', ');
  return z.union([z.enum(words), duration], { error: `write ${choices}, ms as a number, or a text such as "90s"` });
}
