/**
 * Bounds of what programs may send to our workflows, in UTF-16 units. Whoever may write to the namespace may send anything; what is
 * over them is refused before it is in a history.
 */

/** Ids of sessions, orders and plans, names of routes and cleanups, times and claimed names of people. */
export const LONGEST_WORKFLOW_WORD = 200;
/** A reason in words; the same as on the command line would fit many times. */
export const LONGEST_WORKFLOW_TEXT = 2_000;
/** An input or the argument of an update as a whole, as JSON. */
export const LONGEST_WORKFLOW_ARGUMENT = 20_000;
/** Lists and objects inside one another in the same. JavaScript can parse more levels than it can write. */
export const DEEPEST_WORKFLOW_ARGUMENT = 100;
