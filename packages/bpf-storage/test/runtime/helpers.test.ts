import { describe, expect, test } from "vitest";
import { BpfRuntime, dumpMap, ERRNO, loadInto, VerifierError } from "../../src/index.js";
import { bprintf, type FormatValues } from "../../src/runtime/helpers/bprintf.js";
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

describe("formats", () => {
  const values = (...numbers: readonly bigint[]): FormatValues => ({
    count: numbers.length,
    value: (k) => BigInt.asUintN(64, numbers[k] ?? 0n),
    string: (address) => (address === 1n ? "one" : null),
    bytes: (address, size) => (address === 1n ? Uint8Array.from({ length: size }, (_, k) => k + 1) : null),
    symbol: (address, distance) => (address === 1n ? (distance ? "schedule+0x1/0x9" : "schedule") : null),
  });

  test.each([
    ["%d %5u|%-5x|%05X %ld %llu", [-5n, 7n, 255n, 255n, -1n, -1n], "-5     7|ff   |000FF -1 18446744073709551615"],
    ["%+d % d %+d", [5n, 5n, -5n], "+5  5 -5"],
    ["%05d|%-05d|", [-5n, -5n], "-0005|-5   |"],
    ["%c%4c|%-3c|%%", [65n, 66n, 67n], "A   B|C  |%"],
    ["%s|%6s|%-6s|%pks", [1n, 1n, 1n, 0n], "one|   one|one   |"],
    ["%px %p, %pK", [255n, 1n, 0n], "00000000000000ff 0000000000000001, 0000000000000000"],
    ["%ps %pS %pB", [1n, 1n, 255n], "schedule schedule+0x1/0x9 0xff"],
    [
      "%pI4 %pi4 %pI6 %pi6",
      [1n, 1n, 1n, 0n],
      `1.2.3.4 001.002.003.004 0102:0304:0506:0708:090a:0b0c:0d0e:0f10 ${"0".repeat(32)}`,
    ],
    // From prog_tests/snprintf.c of the kernel.
    ["%d %u %x %li %llu %lX", [-8n, 9n, 150n, -424242n, 1337n, 0xdabbad00n], "-8 9 96 -424242 1337 DABBAD00"],
    ["%s % 9c %+2c %-3c %04c %0c %+05s", [1n, 97n, 98n, 99n, 100n, 101n, 1n], "one         a  b c      d e   one"],
    ["%pK %px", [0n, 0xffff00000add4e55n], "0000000000000000 ffff00000add4e55"],
    ["%5d %0900000X", [4n, 4n], `    4 ${"4".padStart(900_000, "0")}`],
    ["\u0080", [], "\u0080"],
  ] as const)("%s", (format, numbers, text) => {
    expect(bprintf(format, values(...numbers))).toBe(text);
  });

  test.each([
    "%a",
    "%12345678",
    "%--------",
    "%lc",
    "%llc",
    "%d %d %d",
    "%",
    "%z",
    "%lld%",
    "%.3d",
    "%hd",
    "%pI5",
    "%sa",
    "%pksa",
    "%pz",
    "\u0001",
    "%\u00e9",
  ])("%j is refused", (format) => {
    expect(bprintf(format, values(1n, 1n))).toBe(-ERRNO.EINVAL);
  });

  test("there are values for all conversions, and room for them", () => {
    expect(bprintf("%d", values())).toBe(-ERRNO.EINVAL);
    expect(bprintf("%d".repeat(128), values(...new Array<bigint>(128).fill(1n)))).toBe("1".repeat(128));
    expect(bprintf("%d".repeat(129), values(...new Array<bigint>(129).fill(1n)))).toBe(-ERRNO.ENOSPC);
  });
});
