export { bulkCancellation } from './bulk-cancellation.js';
export { notification } from './notification.js';
export { policyEnforcement } from './policy-enforcement.js';
export { sessionCancellation } from './session-cancellation.js';
export { sessionWatch } from './session-watch.js';
