export {
  createSessionsClient,
  type FinishedRequest,
  type OpenSessionsClient,
  type SessionsClientOptions,
} from './client.js';
export { createCredentials, type Credentials } from './credentials.js';
export { FAILURES, SessionsError, type SessionsErrorKind, type SessionsOperation } from './errors.js';
export { isSessionId } from '../../core/ids.js';
export type {
  Agent,
  Answer,
  CancelAnswer,
  CancelOptions,
  ListAgentsOptions,
  ListSessionsOptions,
  ListTeamsOptions,
  QueuedMessage,
  Session,
  SessionsClient,
  Trigger,
  Team,
  Usage,
} from './types.js';
