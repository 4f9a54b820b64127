import { ApplicationFailure } from '@temporalio/common';
import { WORKFLOW_BOUNDS } from '../src/core/bounds.js';

/**
 * What others send to our workflows, read before anything is done with it.
 *
 * An error that the SDK does not know as a failure of the workflow fails its task, and that is tried again for ever: the case
 * stands still, with its orders. So what can't be used is refused as an `ApplicationFailure`: in a validator it refuses the
 * update, and nothing of it is in the history; at the start it ends the workflow at once.
 *
 * Only shapes and sizes are looked at here. What the values mean is for activities, which can be changed without breaking a replay.
 */

/** @returns what is wrong with a value, after its name; null: nothing */
type Check = (value: unknown) => string | null;

const texts =
  (most: number): Check =>
  (value) => {
    if (value === undefined) return 'is missing';
    if (typeof value !== 'string') return 'is not a text';
    if (value === '') return 'is empty';
    return value.length > most ? `is longer than ${most} characters` : null;
  };

/** An id or a name. */
export const word: Check = texts(WORKFLOW_BOUNDS.word.most);
/** A reason. */
export const text: Check = texts(WORKFLOW_BOUNDS.text.most);
export const time: Check = (value) =>
  word(value) ?? (Number.isNaN(Date.parse(value as string)) ? 'is not a time' : null);
export const truth: Check = (value) => (typeof value === 'boolean' ? null : 'is not true or false');
export const number: Check = (value) =>
  typeof value === 'number' && Number.isFinite(value) ? null : 'is not a number';
/** JSON has no "left out" for some languages' clients: null stands for it. */
export const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null ? null : check(value);

export interface Shape {
  /** Fields that are looked at; others are let pass, so that a newer client can speak with an older worker. */
  readonly fields: Readonly<Record<string, Check>>;
  /** How it is written, for people. */
  readonly example: string;
}

/** @returns what is wrong with an argument; null: it can be used */
export function problemOf(value: unknown, { fields }: Pick<Shape, 'fields'>): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not an object';
  if (isTooDeep(value)) return `it has more than ${WORKFLOW_BOUNDS.depth.most} lists and objects inside one another`;
  if (JSON.stringify(value).length > WORKFLOW_BOUNDS.argument.most) {
    return `it is longer than ${WORKFLOW_BOUNDS.argument.most} characters as JSON`;
  }
  for (const [name, check] of Object.entries(fields)) {
    const problem = check((value as Readonly<Record<string, unknown>>)[name]);
    if (problem !== null) return `${name} ${problem}`;
  }
  return null;
}

/** Level by level, because what calls itself for each level, as JSON.stringify does, runs out of stack. */
function isTooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; depth <= WORKFLOW_BOUNDS.depth.most; depth += 1) {
    level = level.flatMap((one): unknown[] => (typeof one === 'object' && one !== null ? Object.values(one) : []));
    if (level.length === 0) return false;
  }
  return true;
}

/** @throws {ApplicationFailure} of the type `InvalidInput`, which ends the workflow: it was started with what can't be used */
export function refuseInput(workflow: string, value: unknown, shape: Shape): void {
  const problem = problemOf(value, shape);
  if (problem === null) return;
  throw ApplicationFailure.nonRetryable(
    `The workflow ${workflow} can't be started with this input: ${problem}. It was closed, and did nothing. It takes, for example: ${shape.example}`,
    'InvalidInput',
  );
}

/** A validator. @throws {ApplicationFailure} of the type `InvalidUpdate`, or the one given, which refuses the update */
export const refusingUpdate =
  (update: string, shape: Shape, type = 'InvalidUpdate') =>
  (value: unknown): void => {
    const problem = problemOf(value, shape);
    if (problem === null) return;
    throw ApplicationFailure.nonRetryable(
      `The update ${update} can't be carried out: ${problem}. Nothing was changed. It takes, for example: ${shape.example}`,
      type,
    );
  };
