import { isGrpcServiceError, type ConnectionLike } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../core/contract.js';
import { isNotAllowed } from './grpc-status.js';
import { areUsable, INDEXED_VALUE_TYPE, SQL_KEYWORDS } from './search-attributes.js';

/** How it stands with Curfew's search attributes in a namespace, for people. */
export interface AttributesStanding {
  readonly status: 'ok' | 'warning';
  readonly says: string;
  readonly next: string;
}

/** What the last worker found in the namespace, as it left it in the ledger; null: none has looked yet. */
export type LeftByWorker = string | null;

const WITHOUT = 'Cases run without them: everything is carried out, but Temporal’s lists can’t be filtered by session.';
const NAMES = Object.keys(SEARCH_ATTRIBUTES);

/** What to say and do where cases run without search attributes. */
export function absentAttributes(
  why: 'not-allowed' | 'no-room',
  namespace: string,
): Omit<AttributesStanding, 'status'> {
  if (why === 'no-room') {
    return {
      says: `Namespace "${namespace}" has no room for Curfew's ${NAMES.length} search attributes: on SQL visibility it can have ${SQL_KEYWORDS} of type Keyword. ${WITHOUT}`,
      next: `Give Curfew a namespace of its own (TEMPORAL_NAMESPACE), or remove attributes that nobody uses (temporal operator search-attribute list, remove); then restart the workers.`,
    };
  }
  const names = NAMES.map((name) => `--name ${name} --type Keyword`).join(' ');
  return {
    says: `Namespace "${namespace}" lacks Curfew's search attributes, and Curfew may not add them. ${WITHOUT}`,
    next: `Someone who may: temporal operator search-attribute create --namespace ${namespace} ${names}; then restart the workers.`,
  };
}

/** Looks, and changes nothing. */
export async function readAttributesStanding(
  connection: ConnectionLike,
  namespace: string,
  left: LeftByWorker,
): Promise<AttributesStanding> {
  if (await areUsable(connection, namespace, SEARCH_ATTRIBUTES)) {
    if (left !== 'absent') return { status: 'ok', says: 'Cases can be found by them in Temporal.', next: '' };
    return {
      status: 'warning',
      says: 'They are there now, but the last worker to start did not find them: cases run without.',
      next: 'Restart the workers.',
    };
  }
  if (await isFull(connection, namespace)) return { status: 'warning', ...absentAttributes('no-room', namespace) };
  if (left === 'absent') return { status: 'warning', ...absentAttributes('not-allowed', namespace) };
  if (left === null) return { status: 'ok', says: 'Not there yet; the first worker adds them.', next: '' };
  return {
    status: 'warning',
    says: `They are gone from namespace "${namespace}", and Temporal starts no case that carries them.`,
    next: 'Restart the workers: they add them again, or go on without.',
  };
}

/** Whether the missing ones have no room. Only SQL visibility has bounds; a server that keeps its lists to itself does not tell. */
async function isFull({ operatorService, workflowService }: ConnectionLike, namespace: string): Promise<boolean> {
  try {
    const { visibilityStore } = await workflowService.getClusterInfo({});
    if (/elasticsearch|opensearch/i.test(visibilityStore ?? '')) return false;
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const keywords = Object.values(customAttributes ?? {}).filter(
      (type) => Number(type) === INDEXED_VALUE_TYPE.Keyword,
    );
    const missing = NAMES.filter((name) => customAttributes?.[name] == null);
    return missing.length > 0 && keywords.length + missing.length > SQL_KEYWORDS;
  } catch (error) {
    if (isGrpcServiceError(error) && isNotAllowed(error.code)) return false;
    throw error;
  }
}
