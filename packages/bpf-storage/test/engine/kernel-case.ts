import type { Insn } from "../../src/isa/insn.js";
import { EXIT, LD_IMM64, Pseudo, Size } from "../../src/isa/opcodes.js";
import { mov, set, store } from "./build.js";
import type { Case } from "./kernel-run.js";
import { insn } from "./random-program.js";

/** r9 is the map's value, r6 the context. */
export const program = (...body: readonly Insn[]): Insn[] => [
  mov(6, 1),
  ...[insn(LD_IMM64, { dst: 9, src: Pseudo.MapValue }), insn(0)],
  ...body,
  ...[set(0, 0), insn(EXIT)],
];
/** Keeps r0 in the map. */
export const keep = (k: number): Insn => store(Size.Dw, 9, 256 + 8 * k, 0);

export interface NamedCase extends Case {
  readonly name: string;
}
