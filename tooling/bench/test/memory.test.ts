import { expect, it } from "vitest";
import { buckets } from "../src/memory-bench.js";

it("takes means over twenty spans of equal length, from the first sample on", () => {
  const samples = Array.from({ length: 401 }, (_, i) => ({ seconds: 5 + i / 10, rss: 1000 + i, programs: i }));
  const means = buckets(samples);
  expect(means).toHaveLength(20);
  expect(means[0]).toEqual({ seconds: 1, rss: 1009.5, programs: 19 });
  expect(means[19]?.seconds).toBeCloseTo(39);
  expect(means[19]?.rss).toBe(1389.5);
});

it("leaves out a span without samples", () => {
  const at = (seconds: number) => ({ seconds, rss: 1, programs: 0 });
  expect(buckets([at(0), at(1), at(100)]).map(({ seconds }) => seconds)).toEqual([2.5]);
});
