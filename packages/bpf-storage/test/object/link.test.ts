import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { Pseudo } from "../../src/isa/opcodes.js";
import { ObjectError } from "../../src/object/errors.js";
import { type LinkedProgram, linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import { LOCAL } from "./elf-builder.js";
import { type FunctionRow, insn, ObjectBuilder, Size } from "./object-builder.js";

/** Links the only program of an object, or the one of that name. */
export function link(build: ObjectBuilder, name?: string): LinkedProgram {
  const object = loadObject(build.build());
  const program = object.programs.find((one) => name === undefined || one.name === name);
  if (program === undefined) throw new Error("no such program");
  return linkProgram(object, program);
}

const leaf = (name: string, value: number): FunctionRow => ({
  name,
  section: ".text",
  insns: [insn.mov(0, value), insn.exit()],
  binding: LOCAL,
});
/** What a function puts into its register 0 first. */
const marks = ({ insns, subprograms }: LinkedProgram): (number | undefined)[] =>
  subprograms.map(({ pc }) => insns[pc]?.imm);

/** Programs with a function for exceptions, which a tag of their declaration names. */
const catching = (callbacks: readonly FunctionRow[], tags: readonly string[], on = "main"): ObjectBuilder => {
  const build = new ObjectBuilder();
  const { btf } = build;
  const proto = btf.proto(btf.int("int", 4, 1));
  const main = btf.func("main", proto);
  const types = new Map([...callbacks, leaf("inner", 3)].map(({ name }) => [name, btf.func(name, proto)]));
  for (const tag of tags) btf.declTag(`exception_callback:${tag}`, on === "main" ? main : proto);
  const rows = [...callbacks, leaf("inner", 3)].map((row) => ({ ...row, type: types.get(row.name) ?? 0 }));
  const code = [insn.mov(0, 1), insn.exit()];
  const other = { name: "other", section: "tc", insns: code, type: btf.func("other", proto) };
  return build.add({ name: "main", section: "xdp", insns: code, type: main }, other, ...rows);
};

describe("the function that exceptions of a program end in", () => {
  // Calls what comes behind it in its section.
  const caught: FunctionRow = { name: "caught", section: ".text", insns: [insn.call(1), insn.exit()], binding: 1 };

  test("comes behind all that the program calls, with what it calls itself", () => {
    const linked = link(catching([{ ...caught, insns: [insn.call(1), insn.exit()] }], ["caught"]), "main");
    expect(linked.subprograms.map(({ name, pc, global }) => ({ name, pc, global }))).toEqual([
      { name: "main", pc: 0, global: true },
      { name: "caught", pc: 2, global: true },
      { name: "inner", pc: 4, global: false },
    ]);
    expect(linked.insns[2]?.imm).toBe(1);
    expect(linked.subprograms.every(({ typeId }) => typeId > 0)).toBe(true);
  });

  test("is only in programs that name it", () => {
    const linked = link(catching([caught], ["caught"]), "other");
    expect(linked.subprograms.map(({ name }) => name)).toEqual(["other"]);
  });

  test("is left out where the program names two, which the verifier refuses", () => {
    const linked = link(catching([caught, { ...caught, name: "again" }], ["caught", "again"]), "main");
    expect(linked.subprograms.map(({ name }) => name)).toEqual(["main"]);
  });

  test.each<[string, readonly FunctionRow[], string, string]>([
    ["program: main: no function missing for exceptions", [caught], "missing", "main"],
    ["program: main: no function without a name for exceptions", [caught], "", "main"],
    [
      "program: main: caught is static or hidden: functions for exceptions have to be global",
      [{ ...caught, binding: LOCAL }],
      "caught",
      "main",
    ],
    [
      "program: main: the tag exception_callback:caught is not on the declaration of a program",
      [caught],
      "caught",
      "prototype",
    ],
  ])("%s", (message, rows, tag, on) => {
    const [code, ...text] = message.split(": ");
    expect(() => link(catching(rows, [tag], on), "main")).toThrow(
      expect.objectContaining({ code, message: text.join(": ") }),
    );
  });
});

describe("functions that a program calls", () => {
  test("come behind it in the order of their calls, each once, with what they call behind them", () => {
    const build = new ObjectBuilder().add(
      {
        name: "main",
        section: "xdp",
        // By the section, by the symbol, and once more.
        insns: [insn.mov(0, 1), insn.call(5), insn.call(), insn.call(5), insn.exit()],
        relocations: { 1: ".text", 2: "first", 3: ".text" },
      },
      leaf("unused", 9),
      { ...leaf("first", 2), binding: 1 },
      leaf("inner", 3),
      { name: "second", section: ".text", insns: [insn.mov(0, 4), insn.call(-4), insn.exit()], binding: LOCAL },
    );
    const linked = link(build);
    expect(linked.subprograms.map(({ name, pc, length, global }) => ({ name, pc, length, global }))).toEqual([
      { name: "main", pc: 0, length: 5, global: true },
      { name: "second", pc: 5, length: 3, global: false },
      { name: "inner", pc: 8, length: 2, global: false },
      { name: "first", pc: 10, length: 2, global: true },
    ]);
    expect(marks(linked)).toEqual([1, 4, 3, 2]);
    // main: second, first, second; second: inner.
    expect([1, 2, 3, 6].map((pc) => pc + 1 + (linked.insns[pc]?.imm ?? 0))).toEqual([5, 10, 5, 8]);
  });

  test("may call themselves and each other", () => {
    const build = new ObjectBuilder().add(
      { name: "main", section: "xdp", insns: [insn.call(-1), insn.exit()], relocations: { 0: ".text" } },
      { name: "a", section: ".text", insns: [insn.call(-1), insn.call(1), insn.exit()], binding: LOCAL },
      { name: "b", section: ".text", insns: [insn.call(-4), insn.exit()], binding: LOCAL },
    );
    expect(link(build).insns.map(({ imm }) => imm)).toEqual([1, 0, -1, 1, 0, -4, 0]);
  });

  test("may have their address taken, for callbacks", () => {
    const build = new ObjectBuilder().add(
      { name: "main", section: "xdp", insns: [...insn.wide(2, 16), insn.exit()], relocations: { 0: ".text" } },
      leaf("unused", 1),
      leaf("callback", 2),
    );
    const { insns, subprograms } = link(build);
    expect(insns[0]).toMatchObject({ src: Pseudo.Func, imm: 2 });
    expect(subprograms.map(({ name }) => name)).toEqual(["main", "callback"]);
  });

  test.each<[string, FunctionRow[]]>([
    [
      "relocation: main, instruction 0: no function begins at instruction 3 of .text",
      [{ name: "main", section: "xdp", insns: [insn.call(2), insn.exit()], relocations: { 0: ".text" } }, leaf("f", 1)],
    ],
    [
      "program: main, instruction 0: a call within section xdp: functions that are called have to be in .text",
      [{ name: "main", section: "xdp", insns: [insn.call(0), insn.exit()] }],
    ],
    [
      "relocation: main, instruction 0: calls other of section tc: expected one of .text",
      [
        { name: "main", section: "xdp", insns: [insn.call(), insn.exit()], relocations: { 0: "other" } },
        { name: "other", section: "tc", insns: [insn.exit()] },
      ],
    ],
    [
      "relocation: main, instruction 0 of the program: xdp: an instruction with opcode 0xb7 takes no symbol",
      [{ name: "main", section: "xdp", insns: [insn.mov(0, 0), insn.exit()], relocations: { 0: "xdp" } }],
    ],
    [
      "relocation: main, instruction 0 of the program: xdp: no map begins there, and it is in no section of data",
      [{ name: "main", section: "xdp", insns: [...insn.wide(1), insn.exit()], relocations: { 0: "xdp" } }],
    ],
  ])("%s", (message, functions) => {
    const error = (() => {
      try {
        link(new ObjectBuilder().add(...functions), "main");
      } catch (thrown) {
        return thrown;
      }
      return null;
    })();
    expect(error).toBeInstanceOf(ObjectError);
    const { code, message: text } = error as ObjectError;
    expect(`${code}: ${text}`.replace("section xdp:", "xdp:")).toBe(message.replace("section xdp:", "xdp:"));
  });

  test("five thousand that call each other one by one are no deeper than the stack", () => {
    const count = 5000;
    const build = new ObjectBuilder().add(
      { name: "main", section: "xdp", insns: [insn.call(-1), insn.exit()], relocations: { 0: ".text" } },
      ...Array.from({ length: count }, (_, k): FunctionRow => {
        const last = k === count - 1;
        return {
          name: `f${k}`,
          section: ".text",
          insns: [last ? insn.mov(0, 0) : insn.call(1), insn.exit()],
          binding: LOCAL,
        };
      }),
    );
    expect(link(build).subprograms).toHaveLength(count + 1);
  });
});

describe("references", () => {
  const build = new ObjectBuilder();
  const int = build.btf.int("int", 4, 1);
  const proto = build.btf.proto(0);
  const main = build.btf.func("main", proto);
  const called = build.btf.func("called", proto, 0);
  const struct = build.btf.struct("", 8, [["type", build.btf.ptr(build.btf.array(int, int, 1)), 0]]);
  build.btf.datasec(".maps", 16, [
    [build.btf.var("one", struct), 0, 8],
    [build.btf.var("two", struct), 8, 8],
  ]);
  build.elf.sections.push({ name: ".maps", data: new Uint8Array(16) }, { name: ".data", data: new Uint8Array(16) });
  build.elf.symbols.push({ name: "two", section: ".maps", value: 8 }, { name: "datum", section: ".data", value: 4 });
  build.add(
    {
      ...{ name: "main", section: "xdp", type: main, lines: { 0: 10, 5: 12 } },
      insns: [...insn.wide(1), ...insn.wide(2), insn.call(-1), insn.exit()],
      relocations: { 0: "two", 2: "datum", 4: ".text" },
    },
    {
      ...{ name: "called", section: ".text", binding: LOCAL, type: called, lines: { 2: 20 } },
      insns: [...insn.wide(3, 8), insn.load(Size.W, 0, 1, 0), insn.exit()],
      relocations: { 0: ".data" },
      core: { 2: [0, struct, "0:0"] },
    },
  );
  const linked = link(build);

  test("to maps have their place among the maps, those to data their place in them", () => {
    expect(linked.maps).toEqual([
      { pc: 0, map: "two", offset: null },
      { pc: 2, map: ".data", offset: 4 },
      { pc: 6, map: ".data", offset: 8 },
    ]);
    const loads = linked.maps.map(({ pc }) => [linked.insns[pc], linked.insns[pc + 1]] as [Insn, Insn]);
    expect(loads.map(([low, high]) => [low.src, low.imm, high.imm])).toEqual([
      [Pseudo.MapFd, 1, 0],
      [Pseudo.MapValue, 2, 4],
      [Pseudo.MapValue, 2, 8],
    ]);
  });

  test("what .BTF.ext says moves with the functions", () => {
    expect(linked.subprograms.map(({ pc, typeId }) => [pc, typeId])).toEqual([
      [0, main],
      [6, called],
    ]);
    expect(linked.lines.map(({ pc, line }) => [pc, line])).toEqual([
      [0, 10],
      [5, 12],
      [8, 20],
    ]);
    expect(linked.core).toEqual([{ pc: 8, relocation: { offset: 16, type: struct, access: "0:0", kind: 0 } }]);
  });
});

test("variables of an arena are in its map", () => {
  const build = new ObjectBuilder();
  const int = build.btf.int("int", 4, 1);
  const struct = build.btf.struct("", 8, [["type", build.btf.ptr(build.btf.array(int, int, 33)), 0]]);
  build.btf.datasec(".maps", 8, [[build.btf.var("arena", struct), 0, 8]]);
  build.elf.sections.push({ name: ".maps", data: new Uint8Array(8) });
  build.elf.sections.push({ name: ".addr_space.1", data: Uint8Array.of(0, 0, 0, 0, 7, 0, 0, 0) });
  build.elf.symbols.push({ name: "seven", section: ".addr_space.1", value: 4, size: 4 });
  build.add({ name: "f", section: "syscall", insns: [...insn.wide(1), insn.exit()], relocations: { 0: "seven" } });
  expect(loadObject(build.build()).maps[0]?.contents?.[4]).toBe(7);
  expect(link(build).maps).toEqual([{ pc: 0, map: "arena", offset: 4 }]);
});
