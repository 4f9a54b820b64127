import { Gauge, Registry } from 'prom-client';

/** Whether what Curfew can't work without answered this process. */
export const UP_GAUGES = {
  ledger: { name: 'curfew_ledger_up', help: '1 when the ledger answered this scrape.' },
  temporal: { name: 'curfew_temporal_up', help: '1 when Temporal answered this process within the last seconds.' },
} as const;

export function exposeUp(up: Readonly<Record<keyof typeof UP_GAUGES, boolean>>): Promise<string> {
  const registry = new Registry();
  new Gauge({ ...UP_GAUGES.ledger, registers: [registry] }).set(Number(up.ledger));
  new Gauge({ ...UP_GAUGES.temporal, registers: [registry] }).set(Number(up.temporal));
  return registry.metrics();
}
