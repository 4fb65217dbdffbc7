import { describe, expect, test } from "vitest";
import { KERNEL_HIGH, type Mode, ProbeMode } from "../../src/engine/engine.js";
import type { Insn } from "../../src/isa/insn.js";
import { Class, Mode as InsnMode, MODE_MASK } from "../../src/isa/opcodes.js";
import { program } from "./assemble.js";
import { type Bench, bench, ENGINES } from "./harness.js";

/** The program with its loads as the verifier writes those that may fail. */
const probing = (text: string): { insns: Insn[]; subprograms: number[] } => {
  const { insns, subprograms } = program(text);
  const replaced = insns.map((insn) => {
    if ((insn.code & 7) !== Class.Ldx) return insn;
    const mode = (insn.code & MODE_MASK) === InsnMode.MemSx ? ProbeMode.MemSx : ProbeMode.Mem;
    return { ...insn, code: (insn.code & ~MODE_MASK) | mode };
  });
  return { insns: replaced, subprograms };
};

describe.each(ENGINES)("%s", (engine) => {
  /** A guest whose bytes at 0x7000 and up are 0x81, 0x82, ... */
  const guest = (): { on: Bench; asked: unknown[] } => {
    const asked: unknown[] = [];
    const on: Bench = bench({
      probe(low, high, size, into) {
        asked.push([low, high, size]);
        if (high !== 0 || low >> 12 !== 7) return;
        for (let k = 0; k < size; k++) on.view().setUint8(into + k, 0x81 + (low & 0xfff) + k);
      },
    });
    return { on, asked };
  };
  const run = (on: Bench, code: ReturnType<typeof program>, mode: Mode = "trusted"): bigint => {
    on.engine.load(code, { engine, mode }).run(on.window, KERNEL_HIGH);
    return (BigInt(on.engine.resultHigh) << 32n) | BigInt(on.engine.resultLow);
  };

  test("a probing load of the memory does not ask", () => {
    const { on, asked } = guest();
    on.view().setBigUint64(on.window + 8, 0x8182838485868788n, true);
    expect(run(on, probing("ldxdw %r0, [%r1+8]\nexit"))).toBe(0x8182838485868788n);
    expect(run(on, probing("ldxh %r0, [%r1+8]\nexit"))).toBe(0x8788n);
    expect(run(on, probing("ldxsb %r0, [%r1+8]\nexit"))).toBe(0xffffffffffffff88n);
    expect(asked).toEqual([]);
  });

  test.each([
    ["ldxb", 0x91n, 1],
    ["ldxh", 0x9291n, 2],
    ["ldxw", 0x94939291n, 4],
    ["ldxdw", 0x9897969594939291n, 8],
    ["ldxsb", 0xffffffffffffff91n, 1],
    ["ldxsh", 0xffffffffffff9291n, 2],
    ["ldxsw", 0xffffffff94939291n, 4],
  ])("%s of another address asks the guest", (load, value, size) => {
    const { on, asked } = guest();
    expect(run(on, probing(`mov %r2, 0x7008\n${load} %r0, [%r2+8]\nexit`))).toBe(value);
    expect(asked).toEqual([[0x7010, 0, size]]);
  });

  test("what cannot be read is 0, and not what was read before", () => {
    const { on, asked } = guest();
    const text = "mov %r2, 0x7000\nldxdw %r3, [%r2+0]\nmov %r2, 0\nldxdw %r0, [%r2+16]\nexit";
    expect(run(on, probing(text))).toBe(0n);
    expect(asked).toEqual([
      [0x7000, 0, 8],
      [16, 0, 8],
    ]);
  });

  test("the address is all of its 64 bits", () => {
    const { on, asked } = guest();
    expect(run(on, probing("mov %r2, -1\nldxw %r0, [%r2-7]\nexit"))).toBe(0n);
    expect(asked).toEqual([[0xfffffff8, 0xffffffff, 4]]);
  });

  test("a pointer past the end of the memory reads 0", () => {
    const { on, asked } = guest();
    const end = on.memory.buffer.byteLength;
    on.view().setUint32(end - 4, 0x12345678, true);
    const high = KERNEL_HIGH.toString(16);
    const at = (offset: number): string => `lddw %r2, 0x${high}${offset.toString(16).padStart(8, "0")}`;
    expect(run(on, probing(`${at(end - 4)}\nldxw %r0, [%r2+0]\nexit`))).toBe(0x12345678n);
    expect(run(on, probing(`${at(end - 2)}\nldxw %r0, [%r2+0]\nexit`))).toBe(0n);
    expect(run(on, probing(`${at(0xfffffff8)}\nldxdw %r0, [%r2+0]\nexit`))).toBe(0n);
    expect(on.engine.fault).toBe(null);
    expect(asked).toEqual([]);
  });

  test("memory that a helper has added is read", () => {
    const on: Bench = bench({
      helpers: () => ({
        kind: "host",
        call(args) {
          args.setPointer(on.memory.grow(1) << 16);
          on.view().setUint32(on.memory.buffer.byteLength - 65536, 99, true);
        },
      }),
    });
    expect(run(on, probing("call 1\nldxw %r0, [%r0+0]\nexit"))).toBe(99n);
  });

  test("without a guest other addresses read 0", () => {
    expect(run(bench(), probing("mov %r2, 0x7000\nmov %r0, 1\nldxw %r0, [%r2+0]\nexit"))).toBe(0n);
  });

  test("loads of a checked program outside of the memory go to the guest", () => {
    const { on, asked } = guest();
    expect(run(on, program("mov %r2, 0x7000\nldxsh %r0, [%r2+0]\nexit"), "checked")).toBe(0xffffffffffff8281n);
    expect(asked).toEqual([[0x7000, 0, 2]]);
  });

  test("loads of a checked program in the memory do not, nor do its stores", () => {
    const { on, asked } = guest();
    run(on, program("ldxw %r0, [%r1-4]\nexit"), "checked");
    expect(on.engine.fault?.kind).toBe("memory");
    run(on, program("mov %r2, 0x7000\nstw [%r2+0], 1\nexit"), "checked");
    expect(on.engine.fault?.kind).toBe("memory");
    run(on, program("mov %r2, 0x7000\nlock add [%r2+0], %r1\nexit"), "checked");
    expect(on.engine.fault?.kind).toBe("memory");
    expect(asked).toEqual([]);
  });

  test("without a guest they are faults", () => {
    const on = bench();
    run(on, program("mov %r2, 0x7000\nldxw %r0, [%r2+0]\nexit"), "checked");
    expect(on.engine.fault).toEqual({ kind: "memory", pc: 1, addressLow: 0x7000, addressHigh: 0 });
  });
});
