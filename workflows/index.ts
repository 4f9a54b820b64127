export { sessionCancellation } from './session-cancellation.js';
