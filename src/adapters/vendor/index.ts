export {
  createSessionsClient,
  type FinishedRequest,
  type OpenSessionsClient,
  type SessionsClientOptions,
} from './client.js';
export { createCredentials, type Credentials } from './credentials.js';
export {
  FAILURES,
  SessionsError,
  type Failure,
  type SessionsErrorDetails,
  type SessionsErrorKind,
  type SessionsOperation,
} from './errors.js';
export { ID_RULE, isSessionId } from '../../core/ids.js';
export type {
  Agent,
  AgentPage,
  Answer,
  CallOptions,
  CancelAnswer,
  CancelOptions,
  ListAgentsOptions,
  ListSessionsOptions,
  ListTriggersOptions,
  ListTeamsOptions,
  QueuedMessage,
  Session,
  SessionPage,
  SessionsClient,
  Trigger,
  TriggerPage,
  Team,
  TeamPage,
  Usage,
} from './types.js';
