/*
 * Upper bounds of histogram buckets, in seconds unless said otherwise. They are fine around the figures that Curfew is
 * built for, so that a percentile read from them says whether those hold, and reach to what would be an incident.
 */

/** Built for a p99 under 2 s; an outage of minutes is still told apart. */
export const DETECTION_LAG = [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 15, 30, 60, 120, 300, 600];
/** Usually well under a second; an order that was held (pause, refused key) waits for hours. */
export const DECISION_TO_ACCEPTED = [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
/** Confirming reads come at about 2, 5, 10, 20 and 40 s, and two have to agree. */
export const ACCEPTED_TO_CONFIRMED = [1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600];
export const OVERSHOOT = [1, 2, 3, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800];
/** Credits. */
export const OVERSPENDING = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
/** Up to the limit of a cancel request, 100 s. */
export const API_REQUEST = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 90, 100];
/** A scan that takes as long as the interval between two (15 s) is late. */
export const SCAN = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300];
