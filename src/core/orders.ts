export type OrderSource = 'person' | 'policy' | 'bulk' | 'service';

/** Who ordered the end of a turn, as the metrics tell it. */
export type OrderedBy = 'policy' | 'person' | 'watch' | 'bulk' | 'cleanup';

export const orderedBy = (source: OrderSource): OrderedBy => (source === 'service' ? 'watch' : source);
