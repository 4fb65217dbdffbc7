import { type Reg, regTypeName } from "./reg.js";
import { isConst, S32_MAX, S32_MIN, S64_MAX, S64_MIN, type Scalar, U32_MAX } from "./scalar.js";
import { Byte, byteKind, type Frame, isSpill } from "./state.js";
import { tnumText, U64_MAX } from "./tnum.js";

/** Registers and stack slots as the verifier's log has them (linux kernel/bpf/log.c). */

const signed = (x: bigint): string => {
  const size = x < 0n ? -x : x;
  return size < 0xffffn ? x.toString() : `${x < 0n ? "-" : ""}0x${size.toString(16)}`;
};

/** Bounds that are not those of the type; equal ones share their number. */
const rangeText = (v: Scalar): string[] => {
  const bounds: readonly (readonly [string, bigint, bigint])[] = [
    ["smin", v.smin, S64_MIN],
    ["smax", v.smax, S64_MAX],
    ["umin", v.umin, 0n],
    ["umax", v.umax, U64_MAX],
    ["smin32", BigInt(v.s32min), BigInt(S32_MIN)],
    ["smax32", BigInt(v.s32max), BigInt(S32_MAX)],
    ["umin32", BigInt(v.u32min), 0n],
    ["umax32", BigInt(v.u32max), BigInt(U32_MAX)],
  ];
  const out: string[] = [];
  const done = new Set<string>();
  for (const [name, value, whole] of bounds) {
    if (done.has(name) || value === whole) continue;
    const same = bounds.filter(
      ([other, x, all]) => !done.has(other) && x === value && x !== all && other.slice(1, 4) === name.slice(1, 4),
    );
    for (const [other] of same) done.add(other);
    out.push(`${same.map(([other]) => other).join("=")}=${signed(value)}`);
  }
  return out;
};

/** What a register holds. */
export const regText = (reg: Reg): string => {
  if (reg.kind === "scalar" && isConst(reg.v))
    return (reg.precise ? "P" : "") + signed(BigInt.asIntN(64, reg.v.bits.value));
  const parts: string[] = [];
  if (reg.id !== 0) parts.push(`id=${reg.id}${reg.shifted ? `+${reg.off}` : ""}`);
  if (reg.ref !== 0) parts.push(`ref_obj_id=${reg.ref}`);
  if (reg.kind !== "scalar" && reg.off !== 0 && reg.kind !== "fp") parts.push(`off=${reg.off}`);
  if (reg.isPacket) parts.push(`r=${reg.size}`);
  if (reg.kind === "mem") parts.push(`sz=${reg.size}`);
  if (reg.map !== undefined) parts.push(`ks=${reg.map.keySize},vs=${reg.map.valueSize}`);
  if (!isConst(reg.v)) {
    parts.push(...rangeText(reg.v));
    if (reg.v.bits.mask !== U64_MAX) parts.push(`var_off=${tnumText(reg.v.bits)}`);
  }
  const shape = reg.btf?.shape(reg.btfId);
  const struct = shape?.kind === "struct" ? shape.name : "";
  const name = `${reg.precise ? "P" : ""}${regTypeName(reg)}${struct}${reg.kind === "fp" ? reg.off : ""}`;
  return reg.kind === "fp" && parts.length === 0 ? name : `${name}(${parts.join(",")})`;
};

const BYTE_TEXT: Readonly<Record<number, string>> = {
  [Byte.Invalid]: "?",
  [Byte.Spill]: "r",
  [Byte.Misc]: "m",
  [Byte.Zero]: "0",
  [Byte.Dynptr]: "d",
};

/** All that is known of a frame: registers that hold something, then the stack. */
export const stateText = (frame: Frame): string => {
  let text = frame.index > 0 ? ` frame${frame.index}:` : "";
  frame.regs.forEach((reg, k) => {
    if (reg.kind !== "?") text += ` R${k}=${regText(reg)}`;
  });
  frame.stack.forEach((slot, k) => {
    if (slot === undefined) return;
    const whole = isSpill(slot) && byteKind(slot, 0) === Byte.Spill;
    let bytes = "";
    for (let byte = 7; byte >= 0; byte--) bytes += BYTE_TEXT[byteKind(slot, byte)] ?? "?";
    text += ` fp-${(k + 1) * 8}=${whole ? regText(slot.reg as Reg) : bytes}`;
  });
  return text;
};
