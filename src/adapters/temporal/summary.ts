/** Of a workflow's summary, in characters: lists show no more. */
export const LONGEST_SUMMARY = 200;
