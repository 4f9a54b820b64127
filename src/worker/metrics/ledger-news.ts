import type { News, SettledNews, Witness } from '../../adapters/ledger/news.js';
import type { Meters } from '../../adapters/meters.js';
import { overshootOf } from './overshoot.js';

/** Counts what the ledger was told to keep, where it is certain: after the commit. */
export const countedBy =
  (meters: Meters): Witness =>
  (news) => {
    for (const one of news) count(meters, one);
  };

function count(meters: Meters, news: News): void {
  switch (news.kind) {
    case 'order-opened':
      return meters.orderOpened(news.by, news.policy);
    case 'event':
      return meters.event(news.event);
    case 'order-settled':
      return countSettled(meters, news.settled);
  }
}

function countSettled(meters: Meters, settled: SettledNews): void {
  const { outcome, attribution, by, reason, seen } = settled;
  const policy = reason?.policy ?? null;
  meters.orderSettled({ outcome, attribution, by, policy });
  if (seen?.confirmedAfterMs != null) meters.confirmed(by, seen.confirmedAfterMs);
  const overshoot = overshootOf(settled);
  if (policy === null || overshoot === null) return;
  if (overshoot.unit === 'ms') meters.overranTime(policy, overshoot.limit, overshoot.by);
  else meters.overspent(policy, overshoot.limit, overshoot.by);
}
