import { describe, expect, test } from "vitest";
import { BpfRuntime, dumpMap, loadInto, VerifierError } from "../../src/index.js";
import { formatText } from "../../src/runtime/helpers/print.js";
import { object } from "./little-kernel.js";

describe.each(["jit", "interpreter"] as const)("helpers, %s", (engine) => {
  test("a callback sees every element until it says to stop; locks are free; what is printed is told", () => {
    const lines: string[] = [];
    const runtime = new BpfRuntime({ engine, host: { trace: (line) => lines.push(line) } });
    let loaded: ReturnType<typeof loadInto>;
    try {
      loaded = loadInto(runtime, object("sums"));
    } catch (error) {
      throw error instanceof VerifierError ? new Error(error.log) : error;
    }
    const [sums] = loaded.programs;
    expect(sums?.program.runTraced([])).toBe(0);
    expect(sums?.program.fault).toBeNull();
    const accounts = [...dumpMap(loaded.maps.get("accounts") as never)];
    const view = new DataView(accounts[0]?.values[0]?.buffer as ArrayBuffer);
    const numbers = [...dumpMap(loaded.maps.get("numbers") as never)].map(({ key, values }) => [
      key[0],
      values[0]?.[0],
    ]);
    const visited = numbers.findIndex(([key]) => key === 3) + 1;
    const seen = numbers.slice(0, visited).reduce((sum, [, value]) => sum + (value ?? 0), 0);
    expect([view.getUint32(0, true), view.getUint32(4, true), Number(view.getBigInt64(8, true))]).toEqual([0, 1, seen]);
    expect(lines).toEqual([`${visited} numbers, sum    -5|7   |00ab`, "-1%"]);
  });
});

test("formats that nobody knows stay as they are", () => {
  expect(formatText("%q %d %z", { next: () => 5n, string: () => "" })).toBe("%q 5 %z");
});
