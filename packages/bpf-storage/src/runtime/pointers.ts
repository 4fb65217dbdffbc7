import { KERNEL_HIGH } from "../engine/layout.js";
import { BpfError } from "../errors.js";
import { type Insn, isWide } from "../isa/insn.js";
import { LD_IMM64, Pseudo } from "../isa/opcodes.js";
import { ArrayMap } from "../maps/array.js";
import type { BpfMap } from "../maps/map.js";
import type { Pair } from "./host.js";

/** Writes 64 bits into an immediate load. */
export function setWide(insns: Insn[], pc: number, { low, high }: Pair): void {
  const [first, second] = [insns[pc] as Insn, insns[pc + 1] as Insn];
  insns[pc] = { ...first, code: LD_IMM64, src: 0, imm: low | 0 };
  insns[pc + 1] = { ...second, imm: high | 0 };
}

/**
 * Puts the pointers of maps, and of what is in the only value of some, in the place of the numbers by which instructions name them.
 * @throws {BpfError} EBADF for a number that is none, EINVAL for a map without such a value
 */
export function resolveMaps(insns: Insn[], map: (fd: number) => BpfMap | undefined): void {
  for (const [pc, insn] of insns.entries()) {
    if (!isWide(insn) || (insn.src !== Pseudo.MapFd && insn.src !== Pseudo.MapValue)) continue;
    const named = map(insn.imm);
    if (named === undefined) throw new BpfError("EBADF", `instruction ${pc} names map ${insn.imm}, which is none`);
    let low = named.address;
    if (insn.src === Pseudo.MapValue) {
      if (!(named instanceof ArrayMap))
        throw new BpfError("EINVAL", `instruction ${pc}: map ${named.desc.name} has no value of its own`);
      low = named.elements + (insns[pc + 1] as Insn).imm;
    }
    setWide(insns, pc, { low, high: KERNEL_HIGH });
  }
}
