import { Arena } from "@vm/bpf-storage";
import { describe, expect, it } from "vitest";
import { parseRecordFormat, recordText } from "../../src/cli/bpf/record-format.js";
import { TaskCells } from "../../src/plugins/bpf/task-cells.js";
import { findTracepoint } from "../../src/plugins/bpf/tracepoints.js";
import type { VirtualMemory } from "../../src/virtual-memory.js";

const LAYOUT = { key: 8, funcs: 64 };
const TABLE = 0xffffffff82000000n;
const TRACEPOINT = 0xffffffff83000000n;

/** Memory that holds a table of jump labels, and nothing else. */
const memoryWith = (table: Uint8Array): VirtualMemory =>
  ({
    read: (at: bigint, size: number) => (at === TABLE && size <= table.length ? table.slice(0, size) : null),
  }) as never;

const symbols = (size: number, more: Iterable<readonly [string, bigint]> = []): Map<string, bigint> =>
  new Map([
    ["__tracepoint_t", TRACEPOINT],
    ["__start___jump_table", TABLE],
    ["__stop___jump_table", TABLE + BigInt(size)],
    ...more,
  ]);

describe("a guest that lies", () => {
  it("about the size or the place of its jump labels, is told so", () => {
    for (const size of [-16, 2 ** 30, 64])
      expect(() => findTracepoint("t", symbols(size), LAYOUT, memoryWith(new Uint8Array(0)))).toThrow(
        /list of jump labels has -?\d+ bytes/,
      );
    expect(findTracepoint("other", symbols(0), LAYOUT, memoryWith(new Uint8Array(0)))).toBeNull();
  });

  it("within its jump labels, gives places that may be anywhere, each an address", () => {
    const table = new Uint8Array(64);
    const view = new DataView(table.buffer);
    // The second of four leads to the key of the tracepoint, with flags; the code it names lies in front of the table.
    view.setInt32(16, -0x1000, true);
    view.setInt32(20, 0x7fffffff, true);
    view.setBigInt64(24, TRACEPOINT + 8n + 3n - (TABLE + 24n), true);
    const found = findTracepoint("t", symbols(64, [["__traceiter_t", 5n]]), LAYOUT, memoryWith(table));
    expect(found).toEqual({
      sites: [{ code: TABLE + 16n - 0x1000n, target: TABLE + 20n + 0x7fffffffn }],
      probes: TRACEPOINT + 64n,
      callees: [5n],
    });
  });

  it("with tasks without end, has 65,536 of them remembered, and none that are no addresses of a kernel", () => {
    const arena = new Arena();
    const cells = new TaskCells(arena);
    const before = arena.used;
    expect(cells.cell(0x1000, 0x7fff)).toBe(0);
    for (let k = 0; k < 65_536; k++) expect(cells.cell(k * 64, 0xffff8880)).not.toBe(0);
    expect(cells.cell(0, 0xffff8881)).toBe(0);
    for (const { address } of [...cells.tasks()]) cells.forget(address);
    expect([cells.size, arena.used]).toEqual([0, before]);
  });
});

describe("records on the command line", () => {
  const bytes = new Uint8Array(32);
  bytes.set(Buffer.from("a\x1b[2Jb"), 0);
  new DataView(bytes.buffer).setBigInt64(16, -2n, true);
  new DataView(bytes.buffer).setInt32(24, 77, true);

  it("are told by their fields, placed as compilers place them, and do nothing to a terminal", () => {
    const format = parseRecordFormat("task:char[16] delta:s64 pid:u32 flags:x16");
    expect(recordText(bytes, format)).toBe("task=a\\x1b[2Jb delta=-2 pid=77 flags=0x0");
    expect(recordText(bytes.subarray(0, 20), format)).toBe("task=a\\x1b[2Jb delta is not in the 20 bytes");
    expect(recordText(bytes.subarray(0, 4), null)).toBe("611b5b32  a.[2");
  });

  it("refuse what is no field", () => {
    for (const text of ["", "pid", "pid:u7", "name:char[0]", "name:char[99999]"])
      expect(() => parseRecordFormat(text)).toThrow(/expected .*fields such as/);
  });
});
