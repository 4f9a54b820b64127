/** Sessions a second, as people write it: "20/s", "0.5/s"; slow ones by the minute. */
export function rateWords(perSecond: number): string {
  const [rate, unit] = perSecond < 0.1 ? [perSecond * 60, 'min'] : [perSecond, 's'];
  return `${Number(rate.toPrecision(3))}/${unit}`;
}
