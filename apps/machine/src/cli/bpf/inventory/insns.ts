import type { Insn } from "@vm/bpf-storage";

/** An immediate load of 64 bits, in two instructions. */
export const LD_IMM64 = 0x18;
/** What its source register says its immediate is (linux/bpf.h). */
export const Pseudo = { MapFd: 1, MapValue: 2, Func: 4 } as const;

const CLASS_MASK = 0x07;
const LDX = 0x01;
const MODE_MASK = 0xe0;
const [MODE_MEM, MODE_MEMSX] = [0x60, 0x80];
/** Modes of loads that give zero where there is no memory; nobody but the verifier can ask for them (`bpf_insn_prepare_dump`). */
const PROBES: Readonly<Record<number, number>> = { 32: MODE_MEM, 64: MODE_MEMSX };

/** Whether its immediate is a map. */
export const namesMap = ({ code, src }: Insn): boolean =>
  code === LD_IMM64 && (src === Pseudo.MapFd || src === Pseudo.MapValue);

/** An instruction as a loader could have given it. */
export function shownInsn(insn: Insn): Insn {
  const mode = (insn.code & CLASS_MASK) === LDX ? PROBES[insn.code & MODE_MASK] : undefined;
  return mode === undefined ? insn : { ...insn, code: (insn.code & ~MODE_MASK) | mode };
}
