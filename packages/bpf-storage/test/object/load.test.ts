import { describe, expect, test } from "vitest";
import { ObjectError } from "../../src/object/errors.js";
import { loadObject } from "../../src/object/load.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { LOCAL } from "./elf-builder.js";
import { insn, ObjectBuilder } from "./object-builder.js";

const body = [insn.mov(0, 0), insn.exit()];

/** The error of an object: its code and message. */
export function refusal(bytes: Uint8Array): string {
  try {
    loadObject(bytes);
  } catch (error) {
    if (error instanceof ObjectError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "loaded";
}

test("an object has programs, a license and a version", () => {
  const build = new ObjectBuilder()
    .license("GPL")
    .add(
      { name: "one", section: "?fentry.s/f", insns: body },
      { name: "two", section: "xdp", insns: body },
      { name: "three", section: "xdp", insns: body },
      { name: "called", section: ".text", insns: body, binding: LOCAL },
    );
  build.elf.sections.push({ name: "version", data: Uint8Array.of(0, 1, 6, 0) });
  const object = loadObject(build.build());
  expect(object.license).toBe("GPL");
  expect(object.version).toBe(0x60100);
  expect(object.programs.map(({ name, section, autoload }) => ({ name, section, autoload }))).toEqual([
    { name: "one", section: "fentry.s/f", autoload: false },
    { name: "two", section: "xdp", autoload: true },
    { name: "three", section: "xdp", autoload: true },
  ]);
});

test("an object without type information has programs", () => {
  const object = loadObject(new ObjectBuilder().add({ name: "f", section: "socket", insns: body }).build(false));
  expect([object.btf, object.programs.length]).toEqual([null, 1]);
});

describe("files that are no objects", () => {
  const good = new ObjectBuilder().add({ name: "f", section: "xdp", insns: body }).build();
  test.each([
    ["format: no ELF file", new Uint8Array(10)],
    ["format: a 32-bit ELF file: eBPF has 64 bits", good.with(4, 1)],
    ["format: a big-endian object: compile with -target bpfel", good.with(5, 2)],
    ["format: an object of machine 62: eBPF is 247", good.with(18, 62)],
    ["format: ELF type 2: expected a relocatable object, 1", good.with(16, 2)],
    ["format: section headers of 40 bytes: expected 64", good.with(58, 40)],
    ["format: 0 sections: expected 1 to 65280", good.with(60, 0)],
    [`truncated: ELF file: 384 bytes at 65535 of ${good.length}`, good.with(40, 255).with(41, 255)],
  ])("%s", (message, bytes) => {
    expect(refusal(bytes)).toBe(message);
  });
});

describe("functions", () => {
  test.each<[string, (build: ObjectBuilder) => unknown]>([
    [
      "program: f: a static function in section xdp: only .text may have those",
      (build) => build.add({ name: "f", section: "xdp", insns: body, binding: LOCAL }),
    ],
    [
      "program: f: bytes 16 to 16 of 16 of section xdp",
      (build) => build.add({ name: "g", section: "xdp", insns: body }, { name: "f", section: "xdp", insns: [] }),
    ],
    [
      "relocation: section xdp: a relocation of byte 400 of 16",
      (build) => build.add({ name: "f", section: "xdp", insns: body, relocations: { 50: "xdp" } }),
    ],
  ])("%s", (message, change) => {
    const build = new ObjectBuilder();
    change(build);
    expect(refusal(build.build())).toBe(message);
  });
});

/** Type information of maps: `struct { int (*name)[n]; T *key; ... } name`. */
class Maps extends ObjectBuilder {
  readonly int = this.btf.int("int", 4, 1);
  readonly long = this.btf.int("long", 8, 1);
  readonly #variables: [number, number, number][] = [];
  #end = 0;

  number = (value: number): number => this.btf.ptr(this.btf.array(this.int, this.int, value));
  pointer = (type: number): number => this.btf.ptr(type);

  map(name: string, fields: readonly (readonly [string, number])[], more = 0): number {
    const size = 8 * fields.length + more;
    const struct = this.btf.struct(
      "",
      size,
      fields.map(([field, type], k) => [field, type, 64 * k]),
    );
    this.#variables.push([this.btf.var(name, struct), this.#end, size]);
    this.elf.symbols.push({ name, section: ".maps", value: this.#end, size, type: 1 });
    this.#end += size;
    return struct;
  }

  override build(): Uint8Array {
    this.btf.datasec(".maps", this.#end, this.#variables);
    this.elf.sections.push({ name: ".maps", data: new Uint8Array(this.#end) });
    return super.build();
  }
}

describe("maps", () => {
  test("a map is what the type of its variable says", () => {
    const build = new Maps();
    const fields: [string, number][] = [
      ["type", build.number(MapType.TaskStorage)],
      ["map_flags", build.number(MapFlag.NoPrealloc)],
      ["key", build.pointer(build.int)],
      ["value", build.pointer(build.long)],
      ["pinning", build.number(1)],
      ["numa_node", build.number(3)],
      ["map_extra", build.btf.enum64("", [["", 1n << 40n]])],
    ];
    build.map("storage", fields);
    expect(loadObject(build.build()).maps).toEqual([
      {
        ...{ name: "storage", origin: "maps", type: MapType.TaskStorage, keySize: 4, valueSize: 8, maxEntries: 0 },
        ...{ flags: MapFlag.NoPrealloc, numaNode: 3, extra: 1n << 40n, pinned: true, keyTypeId: 1, valueTypeId: 2 },
        ...{ inner: null, slots: [], contents: null, frozen: false, variables: [] },
      },
    ]);
  });

  test("a map of maps has those that its variable is initialised with", () => {
    const build = new Maps();
    const inner = build.map("inner", [
      ["type", build.number(MapType.Array)],
      ["max_entries", build.number(1)],
      ["key_size", build.number(4)],
      ["value_size", build.number(4)],
    ]);
    const values = build.btf.array(build.pointer(inner), build.int, 0);
    build.map(
      "outer",
      [
        ["type", build.number(MapType.ArrayOfMaps)],
        ["max_entries", build.number(2)],
        ["key_size", build.number(4)],
        ["values", values],
      ],
      8,
    );
    build.elf.relocations.push({ section: ".maps", offset: 32 + 24 + 8, symbol: "inner", type: 2 });
    const [, outer] = loadObject(build.build()).maps;
    expect(outer).toMatchObject({ valueSize: 4, inner: { name: "outer.inner", type: MapType.Array, valueSize: 4 } });
    expect(outer?.slots).toEqual([{ index: 1, name: "inner" }]);
  });

  test("an array of programs has those that its variable is initialised with", () => {
    const build = new Maps();
    const values = build.btf.array(build.pointer(build.btf.proto(0)), build.int, 0);
    build.map(
      "jumps",
      [
        ["type", build.number(MapType.ProgArray)],
        ["key_size", build.number(4)],
        ["values", values],
      ],
      8,
    );
    build.elf.relocations.push({ section: ".maps", offset: 16, symbol: "f", type: 2 });
    build.add({ name: "f", section: "xdp", insns: body });
    expect(loadObject(build.build()).maps[0]?.slots).toEqual([{ index: 0, name: "f" }]);
  });

  const typed = (build: Maps): [string, number] => ["type", build.number(1)];
  test.each<[string, (build: Maps) => readonly (readonly [string, number])[]]>([
    ["map m: it has no type", (build) => [["max_entries", build.number(1)]]],
    ["map m: unknown field colour", (build) => [typed(build), ["colour", build.number(1)]]],
    ["map m: type: expected a number, as of __uint", (build) => [["type", build.int]]],
    ["map m: key: expected a pointer, as of __type", (build) => [typed(build), ["key", build.int]]],
    [
      "map m: key: 4 bytes, and 8 elsewhere",
      (build) => [typed(build), ["key_size", build.number(8)], ["key", build.pointer(build.int)]],
    ],
    [
      "map m: pinning 2: expected 0, or 1 for LIBBPF_PIN_BY_NAME",
      (build) => [typed(build), ["pinning", build.number(2)]],
    ],
    [
      "map m: values: a map of type 1 has neither maps nor programs",
      (build) => [typed(build), ["values", build.btf.array(build.pointer(build.int), build.int, 0)]],
    ],
    [
      "map m: values: expected at the end",
      (build) => [typed(build), ["values", build.int], ["key_size", build.number(4)]],
    ],
  ])("%s", (message, fields) => {
    const build = new Maps();
    build.map("m", fields(build));
    expect(refusal(build.build())).toBe(`map: ${message}`);
  });

  test("maps as before libbpf 1.0 are refused", () => {
    const build = new ObjectBuilder();
    build.elf.sections.push({ name: "maps", data: new Uint8Array(20) });
    expect(refusal(build.build())).toBe(
      "map: maps in section maps, as before libbpf 1.0: define them by their types in section .maps",
    );
  });
});

test("data are maps of one element", () => {
  const build = new ObjectBuilder();
  const int = build.btf.int("int", 4, 1);
  const hidden = build.btf.var("hidden", int, 0);
  const seen = build.btf.var("seen", int, 1);
  build.btf.datasec(".rodata", 0, [[hidden, 0, 4]]);
  build.btf.datasec(".bss", 0, [[seen, 0, 4]]);
  build.elf.sections.push({ name: ".rodata", data: Uint8Array.of(1, 2, 3, 4) }, { name: ".bss", zeros: 8 });
  build.elf.sections.push({ name: ".data.more", data: Uint8Array.of(5) });
  build.elf.symbols.push({ name: "seen", section: ".bss", value: 4, size: 4, type: 1 });
  const [rodata, bss, data] = loadObject(build.build()).maps;
  expect(rodata).toMatchObject({
    name: ".rodata",
    type: MapType.Array,
    valueSize: 4,
    frozen: true,
    flags: MapFlag.RdonlyProg,
  });
  expect(rodata?.contents).toEqual(Uint8Array.of(1, 2, 3, 4));
  expect(rodata?.variables).toEqual([{ name: "hidden", offset: 0, size: 4, typeId: int }]);
  expect(bss).toMatchObject({ name: ".bss", valueSize: 8, frozen: false, flags: MapFlag.Mmapable });
  expect(bss?.variables).toEqual([{ name: "seen", offset: 4, size: 4, typeId: int }]);
  expect(data).toMatchObject({ name: ".data.more", valueSize: 1, flags: 0 });
});

test("structures of functions are maps, whose slots are programs by member", () => {
  const build = new ObjectBuilder();
  const callback = build.btf.ptr(build.btf.proto(0));
  const ops = build.btf.struct("tcp_congestion_ops", 16, [
    ["flags", build.btf.int("long", 8), 0],
    ["init", callback, 64],
  ]);
  build.btf.datasec(".struct_ops", 0, [[build.btf.var("ops", ops), 0, 16]]);
  build.elf.sections.push({ name: ".struct_ops", data: new Uint8Array(16).with(0, 7) });
  build.elf.relocations.push({ section: ".struct_ops", offset: 8, symbol: "init", type: 2 });
  build.add({ name: "init", section: "struct_ops/init", insns: body });
  const [map] = loadObject(build.build()).maps;
  expect(map).toMatchObject({ name: "ops", origin: "struct_ops", valueSize: 16, slots: [{ index: 1, name: "init" }] });
  expect(map?.contents?.[0]).toBe(7);
});
