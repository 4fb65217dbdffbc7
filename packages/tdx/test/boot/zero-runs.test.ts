import { describe, expect, it } from "vitest";
import { withoutZeros } from "../../src/boot/zero-runs.js";

const PAGE = 4096;

/** A run at `gpa` with a page for each letter: of zeros for "0". */
function run(gpa: number, pages: string): { gpa: number; bytes: Uint8Array } {
  const bytes = new Uint8Array(pages.length * PAGE);
  // One byte is enough to make a page be no zeros, wherever it is.
  [...pages].forEach((page, k) => {
    if (page !== "0") bytes[k * PAGE + ((k * 997) % PAGE)] = 1;
  });
  return { gpa, bytes };
}

const zeros = (pages: number): string => "0".repeat(pages);
const places = (runs: readonly { gpa: number; bytes: Uint8Array }[]): [number, number][] =>
  runs.map(({ gpa, bytes }) => [gpa / PAGE, bytes.length / PAGE]);

describe("the pages of an image", () => {
  it("are left out where 16 or more in a row are zero, at the beginning, in the middle and at the end of a run", () => {
    const middle = run(16 * PAGE, `xx${zeros(16)}x`);
    expect(places(withoutZeros([middle], 9))).toEqual([
      [16, 2],
      [34, 1],
    ]);
    expect(places(withoutZeros([run(0, `${zeros(17)}x${zeros(20)}`)], 9))).toEqual([[17, 1]]);
  });

  it("stay where fewer are zero, and as they are", () => {
    const runs = [run(0, `x${zeros(15)}x${zeros(15)}`), run(64 * PAGE, "x")];
    expect(withoutZeros(runs, 9)).toEqual(runs);
  });

  it("are views of what was given, with all else that was said of the run", () => {
    const whole = { ...run(0, `${zeros(16)}xy`), measured: true };
    const [kept] = withoutZeros([whole], 9);
    expect(kept?.measured).toBe(true);
    expect(kept?.bytes.buffer).toBe(whole.bytes.buffer);
    expect(kept?.bytes).toEqual(whole.bytes.subarray(16 * PAGE));
  });

  it("are left out of the longest rows of zeros if there are more than may be", () => {
    const pages = `x${zeros(16)}x${zeros(18)}x${zeros(17)}x`;
    expect(places(withoutZeros([run(0, pages)], 2))).toEqual([
      [0, 18],
      [36, 1],
      [54, 1],
    ]);
  });
});
