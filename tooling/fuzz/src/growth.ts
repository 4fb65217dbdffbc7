/** Bytes by which memory may be more in the second half of a run than in the first: caches that fill, and the collector's moods. */
export const GROWTH_LIMIT = 64 * 2 ** 20;
/** Samples below which nothing is said. */
const FEW = 8;

/**
 * Whether memory grows from case to case. A sample is what is in use behind a garbage collection; the least of a stretch of samples is what
 * stays. Compares the second quarter of all samples with the last: the first is warming up.
 * @returns bytes it grew by if that is too much, else 0
 */
export function growth(samples: readonly number[]): number {
  if (samples.length < FEW) return 0;
  const quarter = Math.floor(samples.length / 4);
  const least = (from: number): number => Math.min(...samples.slice(from, from + quarter));
  const grown = least(samples.length - quarter) - least(quarter);
  return grown > GROWTH_LIMIT ? grown : 0;
}
