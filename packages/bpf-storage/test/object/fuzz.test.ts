import fc from "fast-check";
import { expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { CoreTarget } from "../../src/object/core/relocate.js";
import { ObjectError } from "../../src/object/errors.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import { BtfBuilder } from "../btf/builder.js";
import { LOCAL } from "./elf-builder.js";
import { insn, ObjectBuilder, Size } from "./object-builder.js";

/** An object with something of everything. */
function everything(): Uint8Array {
  const build = new ObjectBuilder().license("GPL");
  const { btf, elf } = build;
  const int = btf.int("int", 4, 1);
  const task = btf.struct("task", 16, [
    ["pid", int, 0],
    ["a", btf.array(int, int, 2), 32],
    ["", btf.union("", 4, [["x", int, 0]]), 96],
  ]);
  const number = btf.ptr(btf.array(int, int, 1));
  const map = btf.struct("", 24, [
    ["type", number, 0],
    ["key", btf.ptr(int), 64],
    ["value", btf.ptr(task), 128],
  ]);
  btf.datasec(".maps", 24, [[btf.var("map", map), 0, 24]]);
  btf.datasec(".data", 0, [[btf.var("datum", int), 0, 4]]);
  btf.datasec(".ksyms", 0, [[btf.var("runqueues", int, 2), 0, 4]]);
  btf.datasec(".kconfig", 0, [[btf.var("CONFIG_HZ", int, 2), 0, 4]]);
  const proto = btf.proto(int, [["task", btf.ptr(task)]]);
  const types = [btf.func("main", proto), btf.func("called", proto, 0)];
  elf.sections.push({ name: ".maps", data: new Uint8Array(24) }, { name: ".data", data: new Uint8Array(8) });
  elf.symbols.push({ name: "map", section: ".maps", size: 24 }, { name: "datum", section: ".data", value: 4, size: 4 });
  elf.symbols.push({ name: "runqueues" }, { name: "CONFIG_HZ" });
  build.add(
    {
      ...{ name: "main", section: "tp_btf/sched_switch", type: types[0] ?? 0, lines: { 0: 1, 3: 2 } },
      insns: [
        ...[...insn.wide(1), ...insn.wide(2, 4), ...insn.wide(3), ...insn.wide(4), ...insn.wide(5)],
        ...[insn.call(-1), insn.load(Size.W, 0, 1, 8), insn.mov(0, 1), insn.exit()],
      ],
      relocations: { 0: "map", 2: ".data", 4: "runqueues", 6: "CONFIG_HZ", 8: ".text", 10: ".text" },
      core: { 11: [0, task, "0:1:1"], 12: [8, task, "0"] },
    },
    { name: "called", section: ".text", insns: [insn.mov(0, 0), insn.exit()], binding: LOCAL, type: types[1] ?? 0 },
  );
  return build.build();
}

const good = everything();
const kernel = new BtfBuilder();
kernel.struct("task", 32, [
  ["pid", kernel.int("int", 4, 1), 0],
  ["a", kernel.array(2, 2, 4), 64],
]);
const kernelTypes = new Btf(kernel.build());

/** Everything that can be done with an object. */
export function process(bytes: Uint8Array): void {
  const object = loadObject(bytes);
  const target = new CoreTarget(kernelTypes);
  for (const program of object.programs) {
    const linked = linkProgram(object, program);
    if (object.btf !== null) target.relocate(linked, object.btf);
  }
}

test("an object with something of everything is loaded, linked and relocated", () => {
  expect(() => process(good)).not.toThrow();
});

/** Bytes, words and halves of the object changed, or its end cut off. */
const mutated = fc
  .record({
    bytes: fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
    words: fc.array(
      fc.tuple(fc.nat(Math.floor(good.length / 4) - 1), fc.oneof(fc.nat(40), fc.integer(), fc.constant(0xffffffff))),
      { maxLength: 3 },
    ),
    cut: fc.option(fc.nat(good.length), { freq: 20 }),
  })
  .map(({ bytes, words, cut }) => {
    const copy = good.slice(0, cut ?? good.length);
    const view = new DataView(copy.buffer);
    for (const [at, byte] of bytes) if (at < copy.length) copy[at] = byte;
    for (const [word, value] of words) if (4 * word + 4 <= copy.length) view.setInt32(4 * word, value, true);
    return copy;
  });

test("mutated objects fail with errors of their own, or not at all", () => {
  let refused = 0;
  fc.assert(
    fc.property(mutated, (bytes) => {
      try {
        process(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ObjectError);
        refused++;
      }
    }),
    { numRuns: Number(globalThis.process.env.VM_BPF_FUZZ ?? 3000) },
  );
  expect(refused).toBeGreaterThan(0);
});
