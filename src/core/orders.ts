export type OrderSource = 'person' | 'policy' | 'bulk' | 'service';

/** Who ordered the end of a turn, as the metrics tell it. */
export const ORDERED_BY = ['policy', 'person', 'watch', 'bulk', 'cleanup'] as const;

export type OrderedBy = (typeof ORDERED_BY)[number];

export const orderedBy = (source: OrderSource): OrderedBy => (source === 'service' ? 'watch' : source);
