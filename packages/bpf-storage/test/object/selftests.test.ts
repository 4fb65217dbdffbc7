import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { CoreTarget } from "../../src/object/core/relocate.js";
import { ObjectError } from "../../src/object/errors.js";
import { type LinkedProgram, linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import type { BpfObject, ObjectProgram } from "../../src/object/object.js";
import { portOf, resolveExterns } from "../../src/object/resolve.js";
import { asLibbpf, FOLDER, HAS_LIBBPF, Libbpf, readSelftest, SELFTESTS, TYPES } from "./libbpf.js";
import { REFUSED, UNLIKE_LIBBPF_1_1 } from "./selftests.refused.js";

const read = (file: string): BpfObject => loadObject(readSelftest(file));

/** Fits a program to types. */
function fitted(object: BpfObject, program: ObjectProgram, target: CoreTarget): LinkedProgram {
  const linked = linkProgram(object, program);
  return object.btf === null ? linked : target.relocate(linked, object.btf).program;
}

describe.skipIf(SELFTESTS.length === 0)("selftests", () => {
  const kernel = SELFTESTS.length === 0 ? null : new Btf(new Uint8Array(readFileSync(TYPES)));

  test.each(SELFTESTS)(
    "%s is loaded, linked and fitted to the kernel, or refused for a reason that is listed",
    (file) => {
      const refused = REFUSED[basename(file, ".bpf.o")];
      if (refused !== undefined) {
        expect(() => read(file)).toThrow(expect.objectContaining({ code: refused[0] }));
        return;
      }
      const object = read(file);
      const target = new CoreTarget(kernel as Btf);
      for (const program of object.programs) expect(fitted(object, program, target).core).toEqual([]);
    },
  );
});

/** Objects that ask for fields, and the types they are tried with: names of the latter begin as those of the former end. */
const PAIRS = SELFTESTS.filter((name) => name.startsWith("btf__core_reloc_")).flatMap((types) => {
  const group = types.replace("btf__core_reloc_", "").replace(/(___.*)?\.bpf\.o$/, "");
  const programs = ["", "_probed", "_direct"].map((variant) => `test_core_reloc_${group}${variant}.bpf.o`);
  return programs.filter((name) => SELFTESTS.includes(name)).map((name) => [name, types] as const);
});

describe.skipIf(!HAS_LIBBPF)("libbpf loads the same", () => {
  let libbpf: Libbpf;
  beforeAll(() => {
    libbpf = new Libbpf();
  });
  afterAll(() => libbpf.close());
  const kernel = HAS_LIBBPF ? new Btf(new Uint8Array(readFileSync(TYPES))) : null;
  const lines = HAS_LIBBPF ? readFileSync("/proc/kallsyms", "utf8").trim().split("\n").reverse() : [];
  const symbols = new Map(lines.map((line) => [line.split(/\s/)[2] ?? "", BigInt(`0x${line.split(" ")[0]}`)]));

  test.each(SELFTESTS.filter((file) => UNLIKE_LIBBPF_1_1[basename(file, ".bpf.o")] === undefined))("%s", (file) => {
    const verdict = libbpf.load(file);
    // What it refuses is the table's; what this kernel lacks is nobody's fault.
    if (verdict === null) return;
    const object = read(file);
    const target = new CoreTarget(kernel as Btf);
    const port = portOf(kernel as Btf, [], (name) => symbols.get(name));
    for (const program of object.programs) {
      const { externs, btf } = object;
      const resolved = resolveExterns(fitted(object, program, target), externs, btf, port).program;
      const theirs = verdict.programs.get(program.name.slice(0, 15)) ?? [];
      expect(theirs).toContain(asLibbpf(resolved, verdict.maps, btf !== null));
    }
  });

  test.each(PAIRS)("%s with the types of %s", (file, types) => {
    const verdict = libbpf.load(file, join(FOLDER, types));
    const object = read(file);
    const target = new CoreTarget(read(types).btf as Btf);
    const programs = () => object.programs.map((program) => [program, fitted(object, program, target)] as const);
    if (verdict === null) {
      expect(programs).toThrow(ObjectError);
      return;
    }
    for (const [{ name }, program] of programs())
      expect(verdict.programs.get(name.slice(0, 15))).toContain(asLibbpf(program, verdict.maps, true));
  });
});
