import { ProbeMode } from "../engine/operation.js";
import type { Insn } from "../isa/insn.js";
import { CALL, CallKind, CLASS_MASK, Class, MODE_MASK, Mode } from "../isa/opcodes.js";

/** Helpers that give pointers to what each CPU has of the kernel's variables. */
const PER_CPU: readonly number[] = [153, 154];

/** Whether a program asks for what each CPU has of a variable of the kernel. */
export const asksPerCpu = (insns: readonly Insn[]): boolean =>
  insns.some(({ code, src, imm }) => code === CALL && src === CallKind.Helper && PER_CPU.includes(imm));

const PROBES: ReadonlyMap<number, number> = new Map([
  [Mode.Mem, ProbeMode.Mem],
  [Mode.MemSx, ProbeMode.MemSx],
]);

/**
 * Instructions whose loads all ask where they lead: variables of the kernel are in its memory, and not among programs and maps, though their types say nothing
 * of that.
 */
export const probeLoads = (insns: readonly Insn[]): Insn[] =>
  insns.map((insn) => {
    const probe = (insn.code & CLASS_MASK) === Class.Ldx ? PROBES.get(insn.code & MODE_MASK) : undefined;
    return probe === undefined ? insn : { ...insn, code: (insn.code & ~MODE_MASK) | probe };
  });
