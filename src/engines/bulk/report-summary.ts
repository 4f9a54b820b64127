import { ENDED_OUTCOMES, type BulkTargetResult } from '../../core/contract.js';
import { kindOf, REPORT_KINDS, type ReportKind } from './report.js';

/** Of each kind so many are kept to be shown. */
const KEPT = 50;
/** Agents that are counted one by one. What a fleet has is far below; a plan of a million ids may name more. */
const MOST_AGENTS = 10_000;

export interface AgentTally {
  readonly agentId: string | null;
  readonly targets: number;
  readonly notEnded: number;
}

/** A whole report in numbers, with those that someone has to look at. */
export interface ReportSummary {
  readonly targets: number;
  /** Only kinds that occurred, in the order of {@link REPORT_KINDS}. */
  readonly byKind: readonly { readonly kind: ReportKind; readonly targets: number }[];
  /** Agents with targets that did not end, most of them first. */
  readonly worstAgents: readonly AgentTally[];
  readonly notEnded: number;
  /** The first of them, the most pressing kinds first; at most 50. */
  readonly examples: readonly BulkTargetResult[];
}

const ended: ReadonlySet<string> = new Set(ENDED_OUTCOMES);

/** What did not end, the most pressing first: still running and costing, then what may still end, then what was left alone. */
const PRESSING: readonly ReportKind[] = [
  'retries-exhausted',
  'forbidden',
  'abandoned',
  'gone',
  'case',
  'under-way',
  'not-in-flight',
  'exempted',
  'capped',
  'waiting',
  'untouched',
];

/** Adds up a report as it is read; what it keeps does not grow with the targets. */
export async function summarize(pages: AsyncIterable<readonly BulkTargetResult[]>): Promise<ReportSummary> {
  const counts = new Map<ReportKind, number>();
  const kept = new Map<ReportKind, BulkTargetResult[]>();
  const agents = new Map<string | null, { targets: number; notEnded: number }>();
  let targets = 0;
  let notEnded = 0;
  for await (const page of pages) {
    for (const result of page) {
      const kind = kindOf(result);
      const isOver = ended.has(kind);
      targets += 1;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      tally(agents, result.agentId, isOver);
      if (isOver) continue;
      notEnded += 1;
      const some = kept.get(kind) ?? [];
      if (some.length < KEPT) some.push(result);
      kept.set(kind, some);
    }
  }
  return {
    targets,
    byKind: REPORT_KINDS.flatMap((kind) => {
      const count = counts.get(kind);
      return count === undefined ? [] : [{ kind, targets: count }];
    }),
    worstAgents: [...agents]
      .map(([agentId, of]) => ({ agentId, ...of }))
      .filter((agent) => agent.notEnded > 0)
      .sort((a, b) => b.notEnded - a.notEnded || b.targets - a.targets)
      .slice(0, KEPT),
    notEnded,
    examples: PRESSING.flatMap((kind) => kept.get(kind) ?? []).slice(0, KEPT),
  };
}

function tally(
  agents: Map<string | null, { targets: number; notEnded: number }>,
  agentId: string | null,
  isOver: boolean,
): void {
  let agent = agents.get(agentId);
  if (agent === undefined) {
    if (agents.size >= MOST_AGENTS) return;
    agents.set(agentId, (agent = { targets: 0, notEnded: 0 }));
  }
  agent.targets += 1;
  if (!isOver) agent.notEnded += 1;
}
