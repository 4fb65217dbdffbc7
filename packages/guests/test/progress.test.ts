import { expect, it } from "vitest";
import { progressLine } from "../src/progress.js";

function shown(isTTY: boolean): string {
  let text = "";
  const line = progressLine({ isTTY, write: (part: string) => (text += part) });
  line.show({ step: "fetching" });
  line.show({ step: "fetching", percent: 49.6 });
  line.show({ step: "unpacking" });
  line.end();
  return text;
}

it("writes a line per step, without percentages, where there is no terminal", () => {
  expect(shown(false)).toBe("fetching\nunpacking\n");
});

it("rewrites one line on a terminal and clears it at the end", () => {
  expect(shown(true)).toBe("\r\x1b[Kfetching\r\x1b[Kfetching 50 %\r\x1b[Kunpacking\r\x1b[K");
});
