import type { Insn } from "../../isa/insn.js";
import { accessSize, CALL, CLASS_MASK, Class, LD_IMM64, SIZE_MASK, Size, Source } from "../../isa/opcodes.js";
import { ObjectError } from "../errors.js";
import { type CoreValue, sizeMayChange } from "./value.js";

/** Number of the helper that a poisoned instruction calls, which no kernel has: 0xbad2310. */
export const POISON_HELPER = 195896080;

/** What became of an instruction. */
export type Patch =
  | { readonly outcome: "patched"; readonly insns: readonly Insn[]; readonly before: bigint; readonly after: bigint }
  | { readonly outcome: "poisoned"; readonly insns: readonly Insn[]; readonly reason: string };

const SIZES = new Map<number, number>([
  [1, Size.B],
  [2, Size.H],
  [4, Size.W],
  [8, Size.Dw],
]);
const MOST_OFFSET = 0x7fff;

/**
 * Relocates an instruction: an immediate operand, an immediate of 64 bits, or the offset of a load or store.
 * @param insns the instruction, and the second half of a 64-bit immediate
 * @param local the value that the object expects there
 * @param target the kernel's; null: there is none, and the instruction must not be reached
 * @param missing why there is none
 * @throws {ObjectError} core for an instruction that takes no such value, or has another than the object says
 */
export function patchInsn(
  insns: readonly Insn[],
  local: CoreValue | null,
  target: CoreValue | null,
  missing: string,
): Patch {
  const [insn, second] = insns;
  if (insn === undefined) throw new ObjectError("core", "there is no such instruction");
  const kind = insn.code & CLASS_MASK;
  switch (kind) {
    case Class.Alu:
    case Class.Alu64:
      if ((insn.code & Source.X) !== 0) return refuse(insn);
      if (target === null) return poison(insn, missing);
      expect(insn, local, BigInt(insn.imm));
      return patched([{ ...insn, imm: Number(BigInt.asIntN(32, target.value)) }], BigInt(insn.imm), target);
    case Class.Ldx:
    case Class.St:
    case Class.Stx:
      if (target === null) return poison(insn, missing);
      expect(insn, local, BigInt(insn.off));
      return patchAccess(insn, local, target);
    case Class.Ld:
      return patchWide(insn, second, local, target, missing);
    default:
      return refuse(insn);
  }
}

/** Both halves of an immediate of 64 bits. */
function patchWide(
  insn: Insn,
  second: Insn | undefined,
  local: CoreValue | null,
  target: CoreValue | null,
  missing: string,
): Patch {
  const plain = insn.code === LD_IMM64 && insn.src === 0 && insn.off === 0;
  if (!plain || second === undefined || (second.code | second.dst | second.src | second.off) !== 0) return refuse(insn);
  if (target === null) return poison(insn, missing);
  const before = BigInt.asUintN(32, BigInt(insn.imm)) | (BigInt.asUintN(32, BigInt(second.imm)) << 32n);
  // The value of an enumeration without sign, which compilers extend by zeros; libbpf 1.x refuses these.
  const unsigned = local?.narrow === true && local.value >> 32n !== 0n && before === BigInt.asUintN(32, local.value);
  if (!unsigned) expect(insn, local, before);
  const value = unsigned && target.narrow ? BigInt.asUintN(32, target.value) : target.value;
  const [low, high] = [value, value >> 32n].map((half) => Number(BigInt.asIntN(32, half)));
  const halves = [
    { ...insn, imm: low ?? 0 },
    { ...second, imm: high ?? 0 },
  ];
  return patched(halves, before, { ...target, value });
}

/** A load or store: another offset, and perhaps another size. */
function patchAccess(insn: Insn, local: CoreValue | null, target: CoreValue): Patch {
  if (target.value > MOST_OFFSET)
    throw new ObjectError("core", `offset ${target.value} of a load or store: at most ${MOST_OFFSET}`);
  const [from, to] = [local?.field ?? null, target.field];
  const moved = { ...insn, off: Number(target.value) };
  if (from === null || to === null || from.size === to.size) return patched([moved], BigInt(insn.off), target);
  if (!sizeMayChange(from.type, to.type))
    return poison(
      insn,
      `the field has ${to.size} bytes instead of ${from.size}, and neither is a pointer or unsigned integer`,
    );
  if (accessSize(insn.code) !== from.size)
    throw new ObjectError("core", `a load or store of ${accessSize(insn.code)} bytes of a field of ${from.size}`);
  const size = SIZES.get(to.size);
  if (size === undefined) throw new ObjectError("core", `a field of ${to.size} bytes: expected 1, 2, 4 or 8`);
  return patched([{ ...moved, code: (insn.code & ~SIZE_MASK) | size }], BigInt(insn.off), target);
}

const patched = (insns: readonly Insn[], before: bigint, { value }: CoreValue): Patch => ({
  outcome: "patched",
  insns,
  before,
  after: value,
});

function expect({ code }: Insn, local: CoreValue | null, found: bigint): void {
  if (local?.certain === true && BigInt.asUintN(64, found) !== local.value)
    throw new ObjectError(
      "core",
      `opcode 0x${code.toString(16)} has ${found}: expected ${local.value}, as the object's types say`,
    );
}

/** An instruction, or both halves of it, that the verifier refuses if it gets there. */
function poison({ code }: Insn, reason: string): Patch {
  const call: Insn = { code: CALL, dst: 0, src: 0, off: 0, imm: POISON_HELPER };
  return { outcome: "poisoned", insns: code === LD_IMM64 ? [call, call] : [call], reason };
}

const refuse = ({ code, src, off }: Insn): never => {
  throw new ObjectError("core", `opcode 0x${code.toString(16)}, src ${src}, off ${off} takes no value of CO-RE`);
};
