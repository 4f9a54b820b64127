import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError, type ConnectionLike } from '@temporalio/client';
import { ExitCode, UserError } from '../../core/errors.js';
import { GrpcStatus, hasStatus, isNotAllowed } from './grpc-status.js';

/** How many custom attributes of type Keyword a namespace has on SQL visibility. */
export const SQL_KEYWORDS = 10;

/** Numbers of `temporal.api.enums.v1.IndexedValueType`. */
export const INDEXED_VALUE_TYPE = { Text: 1, Keyword: 2, Int: 3, Double: 4, Bool: 5, Datetime: 6 } as const;

type SearchAttributeTypeName = keyof typeof INDEXED_VALUE_TYPE;
export type SearchAttributes = Readonly<Record<string, SearchAttributeTypeName>>;

/** Frontends refresh their view of search attributes every 60 s. */
const USABLE_WITHIN_MS = 90_000;
const POLL_MS = 250;

/** `not-allowed`, `no-room`: some are missing and can't be added, so workflows are started without search attributes. */
export type Ensured = 'registered' | 'present' | 'not-allowed' | 'no-room';

/**
 * Makes sure that workflows can be started with these search attributes: adds the missing ones where that is allowed, and
 * waits until the server takes them.
 *
 * @returns `registered` (some were added), `present` (all were there), `not-allowed` (some are missing and we may not add them)
 *   or `no-room` (the server refuses to add them: on SQL visibility a namespace has ten of type Keyword)
 * @throws {UserError} when one exists with another type, or is not usable 90 s after it was added
 * @throws gRPC errors of other kinds, such as a server that went away
 */
export async function ensureSearchAttributes(
  connection: ConnectionLike,
  namespace: string,
  attributes: SearchAttributes,
): Promise<Ensured> {
  const missing = await addMissing(connection, namespace, attributes);
  if (missing === 'no-room') return missing;
  if (missing === 'not-allowed')
    return (await areUsable(connection, namespace, attributes)) ? 'present' : 'not-allowed';
  const began = performance.now();
  while (!(await areUsable(connection, namespace, attributes))) {
    if (performance.now() - began > USABLE_WITHIN_MS) {
      throw new UserError(
        `Temporal does not take the search attributes ${Object.keys(attributes).join(', ')}, although they are registered in namespace "${namespace}".`,
        'Check `temporal operator search-attribute list`, and start again.',
        ExitCode.unreachable,
      );
    }
    await sleep(POLL_MS);
  }
  return missing.length > 0 ? 'registered' : 'present';
}

/** @returns the names that were missing, and are added now */
async function addMissing(
  { operatorService }: ConnectionLike,
  namespace: string,
  attributes: SearchAttributes,
): Promise<string[] | 'not-allowed' | 'no-room'> {
  let adding = false;
  try {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const missing: string[] = [];
    for (const [name, type] of Object.entries(attributes)) {
      const existing = customAttributes?.[name];
      if (existing == null) missing.push(name);
      else if (Number(existing) !== INDEXED_VALUE_TYPE[type]) throw otherType(name, namespace, type, existing);
    }
    if (missing.length === 0) return [];
    const searchAttributes = Object.fromEntries(
      Object.entries(attributes)
        .filter(([name]) => missing.includes(name))
        .map(([name, type]) => [name, INDEXED_VALUE_TYPE[type]]),
    );
    adding = true;
    await operatorService.addSearchAttributes({ namespace, searchAttributes });
    return missing;
  } catch (error) {
    // Another worker that starts at the same time was first.
    if (hasStatus(error, GrpcStatus.alreadyExists)) return Object.keys(attributes);
    if (isGrpcServiceError(error) && isNotAllowed(error.code)) return 'not-allowed';
    if (adding && hasStatus(error, GrpcStatus.invalidArgument)) return 'no-room';
    throw error;
  }
}

/** A list filter that names all of them, and finds nothing. */
export const usabilityQuery = (attributes: SearchAttributes): string =>
  [
    `WorkflowId = 'curfew-search-attribute-check'`,
    ...Object.keys(attributes).map((name) => `\`${name}\` IS NULL`),
  ].join(' AND ');

/**
 * Whether the frontend knows the names. Asked by a query, which passes the same check as a start and works on every kind
 * of server; the id in it keeps it cheap.
 */
export async function areUsable(
  { workflowService }: ConnectionLike,
  namespace: string,
  attributes: SearchAttributes,
): Promise<boolean> {
  try {
    await workflowService.countWorkflowExecutions({ namespace, query: usabilityQuery(attributes) });
    return true;
  } catch (error) {
    if (hasStatus(error, GrpcStatus.invalidArgument)) return false;
    throw error;
  }
}

function otherType(name: string, namespace: string, wanted: SearchAttributeTypeName, existing: number): UserError {
  const names = Object.entries(INDEXED_VALUE_TYPE);
  const found = names.find(([, number]) => number === existing)?.[0] ?? `type ${existing}`;
  return new UserError(
    `Namespace "${namespace}" has the search attribute ${name} as ${found}, Curfew needs ${wanted}.`,
    'Use a namespace of its own for Curfew (TEMPORAL_NAMESPACE).',
    ExitCode.unreachable,
  );
}
