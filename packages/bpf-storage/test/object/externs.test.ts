import { describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { CallKind, Pseudo } from "../../src/isa/opcodes.js";
import { ObjectError } from "../../src/object/errors.js";
import { type KconfigPort, kconfigMap } from "../../src/object/kconfig.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import type { BpfObject } from "../../src/object/object.js";
import { MISSING_KFUNC, portOf, type ResolvedProgram, resolveExterns } from "../../src/object/resolve.js";
import { BtfBuilder } from "../btf/builder.js";
import { WEAK } from "./elf-builder.js";
import { insn, ObjectBuilder } from "./object-builder.js";

/** What is thrown, told by its code. */
function thrown(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ObjectError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing";
}

describe("values of the kernel's configuration", () => {
  /** An object with variables of all types. */
  function object(weak = false): BpfObject {
    const build = new ObjectBuilder();
    const { btf } = build;
    const char = btf.int("char", 1, 1);
    const types = {
      CONFIG_BOOL: [btf.int("_Bool", 1, 4), 1],
      CONFIG_CHAR: [char, 1],
      CONFIG_TRISTATE: [btf.enum("libbpf_tristate", [["TRI_NO", 0]]), 4],
      LINUX_KERNEL_VERSION: [btf.int("int", 4, 1), 4],
      CONFIG_LONG: [btf.int("long", 8), 8],
      CONFIG_TEXT: [btf.array(char, char, 4), 4],
    } as const;
    const rows = Object.entries(types).map(([name, [type, size]]) => [btf.var(name, type, 2), 0, size] as const);
    btf.datasec(".kconfig", 0, rows);
    for (const name of Object.keys(types)) build.elf.symbols.push(weak ? { name, binding: WEAK } : { name });
    build.add({
      name: "f",
      section: "xdp",
      insns: [...insn.wide(1), insn.exit()],
      relocations: { 0: "LINUX_KERNEL_VERSION" },
    });
    return loadObject(build.build());
  }
  const values: Record<string, number | bigint | string> = {
    ...{
      CONFIG_BOOL: "y",
      CONFIG_CHAR: "m",
      CONFIG_TRISTATE: "m",
      LINUX_KERNEL_VERSION: 0x60100,
      CONFIG_LONG: 1n << 40n,
    },
    CONFIG_TEXT: "abcdef",
  };
  const port: KconfigPort = (name) => values[name];

  test("are a frozen map, those of larger alignment first", () => {
    const map = kconfigMap(object().externs, port);
    expect(map).toMatchObject({ name: ".kconfig", valueSize: 22, frozen: true, maxEntries: 1 });
    expect(map?.variables.map(({ name, offset }) => `${offset} ${name}`)).toEqual(
      expect.arrayContaining([
        ...["0 CONFIG_LONG", "8 CONFIG_TRISTATE", "12 LINUX_KERNEL_VERSION"],
        ...["16 CONFIG_BOOL", "17 CONFIG_CHAR", "18 CONFIG_TEXT"],
      ]),
    );
    const contents = new DataView((map?.contents ?? new Uint8Array(0)).buffer);
    expect(contents.getBigUint64(0, true)).toBe(1n << 40n);
    expect([contents.getUint32(8, true), contents.getUint32(12, true)]).toEqual([2, 0x60100]);
    expect(String.fromCharCode(...(map?.contents?.subarray(16) ?? []))).toBe("\u0001mabc\0");
  });

  test("are loaded by their place in the map, which comes behind the others", () => {
    const loaded = object();
    const [program] = loaded.programs;
    if (program === undefined) throw new Error("no program");
    const { insns, maps } = linkProgram(loaded, program);
    expect(maps).toEqual([{ pc: 0, map: ".kconfig", offset: 12 }]);
    expect([insns[0]?.src, insns[0]?.imm, insns[1]?.imm]).toEqual([Pseudo.MapValue, loaded.maps.length, 12]);
  });

  test("that are missing are 0 if they are weak", () => {
    expect(kconfigMap(object(true).externs, () => undefined)?.contents?.every((byte) => byte === 0)).toBe(true);
    expect(thrown(() => kconfigMap(object().externs, () => undefined))).toMatch(
      /^extern: \w+ is (not set in the kernel's configuration|no such value of a kernel)$/,
    );
  });

  test.each([
    ["CONFIG_BOOL", "m", "1 bytes of bool"],
    ["CONFIG_BOOL", 2, "1 bytes of bool"],
    ["CONFIG_CHAR", 200, "1 bytes of char"],
    ["CONFIG_TRISTATE", 1, "4 bytes of tristate"],
    ["LINUX_KERNEL_VERSION", "y", "4 bytes of int"],
    ["LINUX_KERNEL_VERSION", 2 ** 31, "4 bytes of int"],
    ["CONFIG_TEXT", 7, "4 bytes of text"],
  ])("%s cannot be %s", (name, value, place) => {
    const other: KconfigPort = (asked) => (asked === name ? value : values[asked]);
    expect(thrown(() => kconfigMap(object().externs, other))).toBe(
      `extern: ${name} is ${value}, which does not fit ${place}`,
    );
  });
});

describe("symbols of the kernel", () => {
  const kernel = new BtfBuilder();
  const kernelInt = kernel.int("int", 4, 1);
  const runqueues = kernel.var("runqueues", kernel.struct("rq", 4, [["cpu", kernelInt, 0]]));
  const acquire = kernel.func("bpf_task_acquire", kernel.proto(0, [["task", kernelInt]]));
  const port = portOf(new Btf(kernel.build()), [], (name) => (name === "init_task" ? 0xffffffff81234567n : undefined));

  function resolve(
    names: readonly [string, "address" | "variable" | "kfunc" | "wrong"][],
    weak = false,
  ): ResolvedProgram {
    const build = new ObjectBuilder();
    const { btf } = build;
    const int = btf.int("int", 4, 1);
    const types = names.map(([name, kind]): readonly [number, number, number] => {
      if (kind === "address") return [btf.var(name, 0, 2), 0, 0];
      if (kind === "variable") return [btf.var(name, btf.struct("rq", 0, []), 2), 0, 0];
      return [btf.func(name, kind === "wrong" ? btf.proto(0, []) : btf.proto(0, [["task", int]]), 2), 0, 0];
    });
    btf.datasec(".ksyms", 0, types);
    for (const [name] of names) build.elf.symbols.push(weak ? { name, binding: WEAK } : { name });
    const body = names.flatMap(([, kind]) => (kind === "kfunc" || kind === "wrong" ? [insn.call()] : insn.wide(1)));
    let place = 0;
    const relocations: Record<number, string> = {};
    for (const [name, kind] of names) {
      relocations[place] = name;
      place += kind === "kfunc" || kind === "wrong" ? 1 : 2;
    }
    build.add({ name: "f", section: "tc", insns: [...body, insn.exit()], relocations });
    const object = loadObject(build.build());
    const [program] = object.programs;
    if (program === undefined) throw new Error("no program");
    return resolveExterns(linkProgram(object, program), object.externs, object.btf, port);
  }

  test("without a type are addresses", () => {
    const { insns } = resolve([["init_task", "address"]]).program;
    expect([insns[0]?.src, insns[0]?.imm, insns[1]?.imm]).toEqual([0, 0x81234567 | 0, -1]);
  });

  test("with a type are numbers of variables in the kernel's types", () => {
    const { insns } = resolve([["runqueues", "variable"]]).program;
    expect([insns[0]?.src, insns[0]?.imm, insns[1]?.imm]).toEqual([Pseudo.BtfId, runqueues, 0]);
  });

  test("that are functions are called by their number, flavour aside", () => {
    const { insns } = resolve([["bpf_task_acquire___new", "kfunc"]]).program;
    expect(insns[0]).toMatchObject({ src: CallKind.Kfunc, imm: acquire, off: 0 });
  });

  test("that are weak and missing are 0, and their calls poison", () => {
    const { program, missing } = resolve(
      [
        ["nothing", "address"],
        ["bpf_nothing", "kfunc"],
      ],
      true,
    );
    expect([program.insns[0]?.imm, program.insns[1]?.imm]).toEqual([0, 0]);
    expect(program.insns[2]).toMatchObject({ src: 0, imm: MISSING_KFUNC + 1 });
    expect(missing.map(({ pc, reason }) => `${pc}: ${reason}`)).toEqual([
      "0: the kernel has no nothing",
      "2: the kernel has no bpf_nothing",
    ]);
  });

  test("that are missing and not weak are refused", () => {
    expect(thrown(() => resolve([["nothing", "address"]]))).toBe("extern: nothing: the kernel has no such symbol");
    expect(thrown(() => resolve([["bpf_nothing", "kfunc"]]))).toBe("extern: bpf_nothing: the kernel has no such kfunc");
  });

  test("of another type are refused", () => {
    expect(thrown(() => resolve([["bpf_task_acquire", "wrong"]]))).toBe(
      "extern: bpf_task_acquire: the object expects void bpf_task_acquire(void), the kernel has void bpf_task_acquire(int task)",
    );
  });
});

test("what is in another object has to be linked first", () => {
  const build = new ObjectBuilder();
  build.btf.func("elsewhere", build.btf.proto(0), 2);
  build.elf.symbols.push({ name: "elsewhere" });
  expect(thrown(() => loadObject(build.build()))).toBe(
    "extern: elsewhere is not in the object: link it with the one that has it (bpftool gen object), or say that the kernel has it (__ksym, __kconfig)",
  );
});
