import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InvalidWatchError, readExtension, readRegistration, readRelease } from '../../src/engines/watch/request.js';
import { WORKFLOW_BOUNDS } from '../../src/core/bounds.js';
import {
  maybe,
  number,
  problemOf,
  refuseInput,
  refusingUpdate,
  text,
  time,
  truth,
  word,
} from '../../workflows/inputs.js';

/**
 * Whoever may write to the namespace may start workflows and send updates with anything that is JSON. An error that is no failure of
 * Temporal's fails the task of a workflow, and that is tried again for ever.
 */

const SHAPE = {
  fields: { sessionId: word, reason: maybe(text), at: maybe(time), really: maybe(truth), count: maybe(number) },
  example: '{"sessionId":"sess_1"}',
};

const nested = (levels: number, open: string, close: string): unknown =>
  JSON.parse(`{"sessionId":"sess_1","more":${open.repeat(levels)}1${close.repeat(levels)}}`);

/** What is thrown; null: nothing is. */
function thrownBy(call: () => unknown): unknown {
  try {
    call();
    return null;
  } catch (error) {
    return error;
  }
}

const fields = fc.constantFrom('sessionId', 'reason', 'at', 'really', 'count', '__proto__', 'toJSON', 'length');
const odd = fc.oneof(
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    null,
    undefined,
    'x'.repeat(WORKFLOW_BOUNDS.argument.most),
    -0,
    1e300,
    [],
    {},
    '2026-13-01',
    '\ud800',
  ),
);
const argument = fc.oneof(odd, fc.dictionary(fields, odd, { maxKeys: 6, noNullPrototype: true }));

describe('what others send to workflows', () => {
  it('is refused by a failure of Temporal’s, or can be used', () => {
    fc.assert(
      fc.property(argument, (value) => {
        for (const call of [() => refuseInput('w', value, SHAPE), () => refusingUpdate('u', SHAPE)(value)]) {
          const thrown = thrownBy(call);
          expect(thrown === null).toBe(problemOf(value, SHAPE) === null);
          if (thrown === null) continue;
          expect(thrown).toBeInstanceOf(ApplicationFailure);
          expect(thrown).toMatchObject({ nonRetryable: true });
          expect((thrown as Error).message.length).toBeLessThan(1_000);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('is refused where %s are nested so deeply that nothing can be made of them', (_what, open, close) => {
    for (const levels of [101, 1_000, 9_000, 300_000]) {
      const thrown = thrownBy(() => refuseInput('w', nested(levels, open, close), SHAPE));
      expect(thrown).toBeInstanceOf(ApplicationFailure);
      expect(thrown).toMatchObject({ nonRetryable: true, type: 'InvalidInput' });
    }
    expect(thrownBy(() => refuseInput('w', nested(20, open, close), SHAPE))).toBeNull();
  });
});

describe('the request of a watch', () => {
  const READS = [readRegistration, (request: unknown) => readExtension('sess_1', request), readRelease];
  const names = fc.constantFrom('sessionId', 'limits', 'reason', 'requestedBy', '__proto__', 'x\n'.repeat(99));
  const value = fc.oneof(odd, fc.constantFrom('10m', '0s', '9'.repeat(300), 'sess_1', 5, 0.1, -1, NaN, Infinity));
  const limits = fc.dictionary(fc.constantFrom('maxRuntime', 'maxCredits', 'maxTokens', 'max'), value);

  it('is refused by an error with words, or read', () => {
    const request = fc.oneof(odd, fc.dictionary(names, fc.oneof(value, limits), { noNullPrototype: true }));
    fc.assert(
      fc.property(request, (one) => {
        for (const read of READS) {
          const thrown = thrownBy(() => read(one));
          if (thrown === null) continue;
          expect(thrown).toBeInstanceOf(InvalidWatchError);
          expect((thrown as Error).message.length).toBeLessThan(2_000);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([3_000, 300_000])('is refused with a value of %i levels', (levels) => {
    const deep = `${'['.repeat(levels)}${']'.repeat(levels)}`;
    for (const field of ['limits', 'reason', 'requestedBy', 'other']) {
      const request: unknown = JSON.parse(`{"${field}":${deep}}`);
      for (const read of READS) expect(thrownBy(() => read(request))).toBeInstanceOf(InvalidWatchError);
    }
  });
});
