import { describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { CoreKind } from "../../src/object/core/kinds.js";
import { CoreTarget } from "../../src/object/core/relocate.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import { BtfBuilder } from "../btf/builder.js";
import { type Case, int, load, outcome } from "./core-case.js";
import { ObjectBuilder, Size } from "./object-builder.js";

describe("candidates", () => {
  const kind = CoreKind.FieldByteOffset;
  const local = (btf: BtfBuilder): number => btf.struct("s___old", 4, [["x", int(btf), 0]]);
  const one = (kernel: Case["kernel"]): string =>
    outcome({ kind, access: "0:0", insns: load(Size.W, 0), local, kernel });

  test("have the name without flavour", () => {
    expect(one((btf) => btf.struct("s", 8, [["x", int(btf), 32]]))).toBe("off 4 size 4");
    expect(one((btf) => btf.struct("s___new", 8, [["x", int(btf), 32]]))).toBe("off 4 size 4");
  });

  test("that have the same value are as good as one", () => {
    expect(
      one((btf) => {
        const type = int(btf);
        btf.struct("s", 8, [["x", type, 32]]);
        btf.struct("s___2", 12, [
          ["y", type, 0],
          ["x", type, 32],
        ]);
        btf.struct("s___3", 12, [["y", type, 0]]);
      }),
    ).toBe("off 4 size 4");
  });

  test("that disagree are refused", () => {
    expect(
      one((btf) => {
        const type = int(btf);
        btf.struct("s", 8, [["x", type, 32]]);
        btf.struct("s___2", 12, [["x", type, 64]]);
      }),
    ).toBe("core: f, instruction 0: byte_off of struct s___old.x: types 3 and 4 of the kernel disagree");
  });

  test("of another kind, and members of another type, are none", () => {
    const reason = "poisoned: byte_off of struct s___old.x: the kernel has no such field";
    expect(one((btf) => btf.union("s", 8, [["x", int(btf), 0]]))).toBe(reason);
    expect(one((btf) => btf.struct("s", 8, [["x", btf.ptr(0), 0]]))).toBe(reason);
  });

  test("a type without name has none", () => {
    const anonymous = (btf: BtfBuilder): number => btf.struct("", 4, [["x", int(btf), 0]]);
    expect(outcome({ kind, access: "0:0", insns: load(Size.W, 0), local: anonymous, kernel: () => undefined })).toBe(
      "core: f, instruction 0: struct (anonymous): a type without name is not found in a kernel",
    );
  });

  test("are a module's if the kernel has none", () => {
    const kernel = new BtfBuilder();
    const type = kernel.int("int", 4, 1);
    const base = new Btf(kernel.build());
    const module = new BtfBuilder(base.count, base.stringBytes);
    module.struct("s", 8, [["x", type, 32]]);
    const build = new ObjectBuilder();
    const root = local(build.btf);
    build.add({ name: "f", section: "xdp", insns: load(Size.W, 0), core: { 0: [kind, root, "0:0"] } });
    const object = loadObject(build.build());
    const [program] = object.programs;
    if (program === undefined || object.btf === null) throw new Error("no program");
    const target = new CoreTarget(base, [new Btf(module.build(), base)]);
    expect(target.relocate(linkProgram(object, program), object.btf).program.insns[0]?.off).toBe(4);
  });
});
