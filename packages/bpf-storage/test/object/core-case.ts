import { expect } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import type { Insn } from "../../src/isa/insn.js";
import { POISON_HELPER } from "../../src/object/core/patch.js";
import { CoreTarget, type RelocatedProgram } from "../../src/object/core/relocate.js";
import { ObjectError } from "../../src/object/errors.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import { BtfBuilder } from "../btf/builder.js";
import { insn, ObjectBuilder } from "./object-builder.js";

/** One relocation: its kind, the access, the instruction; types are made by `local`, whose result is the root. */
export interface Case {
  readonly kind: number;
  readonly access?: string;
  readonly insns: readonly Insn[];
  readonly local: (btf: BtfBuilder) => number;
  readonly kernel: (btf: BtfBuilder) => void;
}

export function relocate({ kind, access = "0", insns, local, kernel }: Case): RelocatedProgram {
  const build = new ObjectBuilder();
  const root = local(build.btf);
  build.add({ name: "f", section: "xdp", insns: [...insns, insn.exit()], core: { 0: [kind, root, access] } });
  const object = loadObject(build.build());
  const target = new BtfBuilder();
  target.int("padding", 4);
  kernel(target);
  const [program] = object.programs;
  if (program === undefined || object.btf === null) throw new Error("no program");
  return new CoreTarget(new Btf(target.build())).relocate(linkProgram(object, program), object.btf);
}

/** What the first instruction has afterwards: its immediate, or the offset and size of a load or store; or what is thrown. */
export function outcome(one: Case): string {
  try {
    const { program, records } = relocate(one);
    const [record] = records;
    if (record?.result.outcome === "poisoned") {
      expect(program.insns[0]).toMatchObject({ src: 0, imm: POISON_HELPER });
      return `poisoned: ${record.result.reason}`;
    }
    const [first, second] = program.insns as [Insn, Insn];
    if (one.insns.length === 2) return `${(BigInt(second.imm) << 32n) | BigInt(first.imm >>> 0)}`;
    const isAccess = (first.code & 7) >= 1 && (first.code & 7) <= 3;
    return isAccess ? `off ${first.off} size ${[4, 2, 1, 8][(first.code >> 3) & 3]}` : `${first.imm}`;
  } catch (error) {
    if (error instanceof ObjectError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

/** The first type of most. */
export const int = (btf: BtfBuilder): number => btf.int("int", 4, 1);
/** A load from a field. */
export const load = (size: number, off: number): Insn[] => [insn.load(size, 0, 1, off)];
