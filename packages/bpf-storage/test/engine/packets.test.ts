import { describe, expect, test } from "vitest";
import { KERNEL_HIGH } from "../../src/engine/engine.js";
import { PacketContext } from "../../src/engine/packet.js";
import { EXIT, Mode, Size } from "../../src/isa/opcodes.js";
import { bench, ENGINES } from "./harness.js";
import { insn } from "./random-program.js";

/** Where the parts of a packet are in the window of a bench: its headers of link and network, and what programs see of it. */
const [MAC, NETWORK, END] = [512, 526, 560];

describe.each(ENGINES)("%s", (engine) => {
  /** Runs `r6 = r1; r0 = 9; r8 = offset; r0 = load; r0 += 1; exit` on bytes that are the low bytes of their places. */
  const load = (
    code: number,
    imm: number,
    { data = MAC, offset = 0, mode = "trusted" as "trusted" | "checked" } = {},
  ) => {
    const on = bench();
    const view = on.view();
    for (let at = MAC; at < END; at++) view.setUint8(on.window + at, at);
    const set = (field: number, at: number): void => view.setUint32(on.window + field, on.window + at, true);
    set(PacketContext.data, data);
    set(PacketContext.dataEnd, END);
    set(PacketContext.network, NETWORK);
    set(PacketContext.mac, MAC);
    const insns = [
      insn(0xbf, { dst: 6, src: 1 }),
      insn(0xb7, { dst: 0, imm: 9 }),
      insn(0xb7, { dst: 8, imm: offset }),
      insn(code, { src: 8, imm }),
      insn(0x07, { dst: 0, imm: 1 }),
      insn(EXIT),
    ];
    const executable = on.engine.load({ insns, subprograms: [0] }, { engine, mode });
    const low = executable.run(on.window, KERNEL_HIGH) >>> 0;
    expect(on.engine.fault).toBeNull();
    expect(on.engine.resultHigh).toBe(0);
    return low;
  };

  test.each(["trusted", "checked"] as const)("%s: bytes are loaded most significant first", (mode) => {
    expect(load(Mode.Abs | Size.B, 2, { mode })).toBe(0x02 + 1);
    expect(load(Mode.Abs | Size.H, 2, { mode })).toBe(0x0203 + 1);
    expect(load(Mode.Abs | Size.W, 2, { mode })).toBe(0x02030405 + 1);
  });

  test("LD_IND adds the source register, of which the lower half counts", () => {
    expect(load(Mode.Ind | Size.H, 2, { offset: 4 })).toBe(0x0607 + 1);
    expect(load(Mode.Ind | Size.B, 6, { offset: -4 })).toBe(0x02 + 1);
  });

  test("what is not in the packet ends the function with 0", () => {
    const last = END - MAC;
    expect(load(Mode.Abs | Size.B, last - 1)).toBe(((END - 1) & 0xff) + 1);
    for (const [size, bytes] of [
      [Size.B, 1],
      [Size.H, 2],
      [Size.W, 4],
    ] as const)
      expect(load(Mode.Abs | size, last - bytes + 1)).toBe(0);
    expect(load(Mode.Abs | Size.W, 0x7fffffff)).toBe(0);
  });

  test("negative offsets count from the header of the network, or of the link, and from nothing else", () => {
    expect(load(Mode.Abs | Size.B, -0x100000)).toBe((NETWORK & 0xff) + 1);
    expect(load(Mode.Abs | Size.B, -0x200000)).toBe((MAC & 0xff) + 1);
    // In front of what the program sees.
    expect(load(Mode.Abs | Size.B, -0x200000, { data: NETWORK })).toBe((MAC & 0xff) + 1);
    expect(load(Mode.Abs | Size.H, -0x100000 + (END - NETWORK) - 1)).toBe(0);
    expect(load(Mode.Abs | Size.B, -0x1000)).toBe(0);
    expect(load(Mode.Abs | Size.B, -0x200001)).toBe(0);
    expect(load(Mode.Abs | Size.B, -1)).toBe(0);
  });

  test("a checked program has no packet where it may not access memory", () => {
    const on = bench();
    const insns = [insn(0xbf, { dst: 6, src: 1 }), insn(Mode.Abs | Size.B, {}), insn(EXIT)];
    const executable = on.engine.load({ insns, subprograms: [0] }, { engine, mode: "checked" });
    executable.run(0x4000, KERNEL_HIGH);
    expect(on.engine.fault).toEqual({ kind: "memory", pc: 1, addressLow: 0x4000, addressHigh: KERNEL_HIGH });
  });

  test("only the function that loads is ended, not its caller", () => {
    const on = bench();
    const insns = [
      insn(0xbf, { dst: 6, src: 1 }),
      insn(0x85, { src: 1, imm: 2 }),
      insn(0x07, { dst: 0, imm: 5 }),
      insn(EXIT),
      insn(0xbf, { dst: 6, src: 1 }),
      insn(Mode.Abs | Size.B, { imm: 100 }),
      insn(EXIT),
    ];
    const executable = on.engine.load({ insns, subprograms: [0, 4] }, { engine, mode: "trusted", budget: 100 });
    expect(executable.run(on.window, KERNEL_HIGH)).toBe(5);
  });
});
