import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineUpdate,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import {
  CASE_QUERY,
  JOIN_UPDATE,
  RETRY_NOW_UPDATE,
  SESSION_CANCELLATION,
  type CasePhase,
  type CaseResult,
  type CaseStatus,
  type CaseInput,
} from '../src/core/contract.js';
import type { Step } from '../src/engines/cases/case.js';
import { GATE_PASS, LEDGER_READ, RESTART_LOOK, SESSION_READ } from '../src/adapters/temporal/timeouts.js';
import { maybe, refuseInput, refusingUpdate, time, truth, word, type Shape } from './inputs.js';

const INPUT: Shape = {
  fields: { sessionId: word, searchAttributes: maybe(truth), since: maybe(time) },
  example: '{ "sessionId": "sess_1", "searchAttributes": true }',
};
const JOIN: Shape = { fields: { orderId: word }, example: '{ "orderId": "…" }' };

const joinUpdate = defineUpdate<{ caseId: string }, [{ orderId: string }]>(JOIN_UPDATE);
const retryNowUpdate = defineUpdate<void>(RETRY_NOW_UPDATE);
const caseQuery = defineQuery<CaseStatus>(CASE_QUERY);

const PHASE = defineSearchAttributeKey('CurfewPhase', SearchAttributeType.KEYWORD);
const OUTCOME = defineSearchAttributeKey('CurfewOutcome', SearchAttributeType.KEYWORD);
const AGENT = defineSearchAttributeKey('CurfewAgentId', SearchAttributeType.KEYWORD);
/** The vendor's word, of any length; PostgreSQL's visibility takes 255 characters, and never shows a case with more. */
const LONGEST_AGENT_ID = 200;

const { cancelSession } = proxyActivities<Activities>(GATE_PASS);
const { confirmCancellation } = proxyActivities<Activities>(SESSION_READ);
const { watchForRestart } = proxyActivities<Activities>(RESTART_LOOK);
const { reportCase } = proxyActivities<Activities>(LEDGER_READ);

/**
 * One case: carries out the orders on one session, and confirms that the ordered turns ended. The orders are in the
 * ledger; joining only wakes the case, so that a lost update loses no order. Closes when no order is open.
 */
export async function sessionCancellation(input: CaseInput): Promise<CaseResult> {
  refuseInput(SESSION_CANCELLATION, input, INPUT);
  const { sessionId } = input;
  const since = input.since ?? workflowInfo().startTime.toISOString();
  const orderIds: string[] = [];
  let phase: CasePhase = 'ordered';
  let details = 'Nothing was looked at yet.';
  let joined = false;
  let interruptWait = (): void => {};

  setHandler(
    joinUpdate,
    ({ orderId }) => {
      if (!orderIds.includes(orderId)) orderIds.push(orderId);
      if (orderIds.length > 50) orderIds.shift();
      joined = true;
      interruptWait();
      return { caseId: workflowInfo().workflowId };
    },
    { validator: refusingUpdate(JOIN_UPDATE, JOIN) },
  );
  setHandler(retryNowUpdate, () => interruptWait());
  setHandler(caseQuery, () => ({ sessionId, phase, orderIds: [...orderIds], note: details }));

  const enter = (next: CasePhase, text: string): void => {
    details = text;
    setCurrentDetails(text);
    if (next === phase) return;
    phase = next;
    if (input.searchAttributes) upsertSearchAttributes([{ key: PHASE, value: next }]);
  };

  /** One pass through the gate, tried until it comes through. A new order or an operator's word cuts a wait short. */
  const attempt = async (): Promise<Step> => {
    for (;;) {
      // This pass reads the orders from the ledger, and with them all that have joined by now.
      joined = false;
      enter('attempting', 'Going through the gate: read the session, then cancel the ordered turn if it is in flight.');
      const scope = new CancellationScope({ cancellable: true });
      let interrupted = false;
      interruptWait = () => {
        interrupted = true;
        scope.cancel();
      };
      try {
        return await scope.run(() => cancelSession({ sessionId }));
      } catch (error) {
        if (!(interrupted && error instanceof ActivityFailure)) throw error;
      } finally {
        interruptWait = () => {};
      }
    }
  };

  /** Until every order has its outcome. */
  const carryOut = async (): Promise<void> => {
    let step: Step = { next: 'attempt', afterMs: 0 };
    while (step.next !== 'done') {
      if (step.next === 'look') enter('confirming', `Confirming by reading again: look ${step.look + 1}.`);
      if (step.afterMs > 0) await sleep(step.afterMs);
      if (step.next === 'attempt') {
        if (workflowInfo().continueAsNewSuggested) await goOnAsNew();
        step = await attempt();
      } else {
        step = await confirmCancellation({ sessionId, look: step.look, sightings: step.sightings });
      }
    }
  };

  const goOnAsNew = async (): Promise<void> => {
    await condition(allHandlersFinished);
    await continueAsNew<typeof sessionCancellation>({ ...input, since });
  };

  /**
   * An ended session can start again by itself; this only looks, and stops looking when a new order comes.
   *
   * @returns whether there are orders to carry out
   */
  const lookAfter = async (): Promise<boolean> => {
    enter('watching-for-restart', 'All orders have their outcome. Looking whether the session starts again.');
    try {
      let step = await watchForRestart({ sessionId, look: 0, queued: false });
      for (let look = 1; step.next === 'look' && !joined; look += 1) {
        if (await condition(() => joined, step.afterMs)) return true;
        step = await watchForRestart({ sessionId, look, queued: step.queued });
      }
      return step.next === 'attempt';
    } catch (error) {
      if (!(error instanceof ActivityFailure) || CancellationScope.current().consideredCancelled) throw error;
      log.warn('gave up looking whether the session starts again', { sessionId });
      return false;
    }
  };

  let result: CaseResult;
  let again: boolean;
  do {
    joined = false;
    await carryOut();
    again = await lookAfter();
    result = await reportCase({ sessionId, since });
  } while (joined || again);

  const last = result.orders.at(-1);
  enter('settled', `Closed: ${result.orders.map((order) => order.outcome).join(', ')}.`);
  upsertMemo({ outcomes: result.orders.map((order) => order.outcome), attempts: last?.attempts ?? 0 });
  if (input.searchAttributes && last !== undefined) {
    upsertSearchAttributes([
      { key: OUTCOME, value: last.outcome },
      ...(last.agentId === null ? [] : [{ key: AGENT, value: last.agentId.slice(0, LONGEST_AGENT_ID) }]),
    ]);
  }
  return result;
}
