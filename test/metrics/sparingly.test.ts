import { expect, it } from '@jest/globals';
import { NoAnswerInTime, sparingly } from '../../src/worker/metrics/sparingly.js';

const PATIENT = { freshMs: 60_000, patienceMs: 60_000 };

it('many who ask at once cost one question', async () => {
  let asked = 0;
  const ask = sparingly(() => Promise.resolve((asked += 1)), PATIENT);
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  expect(await ask()).toBe(1);
});

it('an answer that is not fresh any more is asked for again', async () => {
  let asked = 0;
  const ask = sparingly(() => Promise.resolve((asked += 1)), { ...PATIENT, freshMs: 0 });
  expect([await ask(), await ask()]).toEqual([1, 2]);
});

it('a failure is handed on, and serves for as long as an answer', async () => {
  let asked = 0;
  const ask = sparingly(() => Promise.reject(new Error(`failure ${(asked += 1)}`)), PATIENT);
  await expect(ask()).rejects.toThrow('failure 1');
  await expect(ask()).rejects.toThrow('failure 1');
});

it('a question that hangs is not asked again, keeps nobody waiting, and serves once it is answered', async () => {
  let asked = 0;
  let answer = (_value: string): void => {};
  const ask = sparingly(
    () => {
      asked += 1;
      return new Promise<string>((resolve) => (answer = resolve));
    },
    { freshMs: 60_000, patienceMs: 10 },
  );
  await expect(ask()).rejects.toBeInstanceOf(NoAnswerInTime);
  await expect(ask()).rejects.toBeInstanceOf(NoAnswerInTime);
  answer('late');
  expect(await ask()).toBe('late');
  expect(asked).toBe(1);
});
