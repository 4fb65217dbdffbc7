import * as i64 from "./int64.js";
import { type Reg, regTypeName } from "./reg.js";
import { isConst, S32_MAX, S32_MIN, type Scalar, U32_MAX } from "./scalar.js";
import { Byte, byteKind, type Frame, isSpill } from "./state.js";
import { tnumText } from "./tnum.js";

/** Registers and stack slots as the verifier's log has them (linux kernel/bpf/log.c). */

/** Numbers within 16 bits are decimal, others hexadecimal, signed ones in two's complement. */
const isSmall = (x: bigint): boolean => x >= -0x8000n && x <= 0x7fffn;
const hex = (x: bigint): string => `0x${BigInt.asUintN(64, x).toString(16)}`;
const signed = (x: bigint): string => (isSmall(x) ? x.toString() : hex(x));
const unsigned = (x: bigint): string => (x <= 0xffffn ? x.toString() : hex(x));

interface Bound {
  readonly name: string;
  readonly value: bigint;
  omitted: boolean;
}

/** Bounds that are not those of the type; equal ones of the same end share their number. */
const rangeText = (v: Scalar): string[] => {
  const signed32 = (x: number): bigint => (isSmall(BigInt(x)) ? BigInt(x) : BigInt(x >>> 0));
  const bounds: readonly Bound[] = [
    { name: "smin", value: i64.toBigIntS(v.smin), omitted: i64.eq(v.smin, i64.S_MIN) },
    { name: "smax", value: i64.toBigIntS(v.smax), omitted: i64.eq(v.smax, i64.S_MAX) },
    { name: "umin", value: i64.toBigIntU(v.umin), omitted: i64.isZero(v.umin) },
    { name: "umax", value: i64.toBigIntU(v.umax), omitted: i64.eq(v.umax, i64.ALL) },
    { name: "smin32", value: signed32(v.s32min), omitted: v.s32min === S32_MIN },
    { name: "smax32", value: signed32(v.s32max), omitted: v.s32max === S32_MAX },
    { name: "umin32", value: BigInt(v.u32min), omitted: v.u32min === 0 },
    { name: "umax32", value: BigInt(v.u32max), omitted: v.u32max === U32_MAX },
  ];
  const out: string[] = [];
  bounds.forEach((bound, k) => {
    if (bound.omitted) return;
    let names = `${bound.name}=`;
    for (let other = k + 2; other < bounds.length; other += 2) {
      const each = bounds[other];
      if (each === undefined || each.omitted || each.value !== bound.value) continue;
      each.omitted = true;
      names += `${each.name}=`;
    }
    out.push(names + (bound.name.startsWith("s") ? signed(bound.value) : unsigned(bound.value)));
  });
  return out;
};

/** What a register holds. */
export const regText = (reg: Reg): string => {
  if (reg.kind === "scalar" && isConst(reg.v))
    return (reg.precise ? "P" : "") + signed(i64.toBigIntS(reg.v.bits.value));
  const parts: string[] = [];
  if (reg.id !== 0) parts.push(`id=${reg.id}${reg.shifted ? `+${reg.off}` : ""}`);
  if (reg.ref !== 0) parts.push(`ref_obj_id=${reg.ref}`);
  if (reg.kind !== "scalar" && reg.off !== 0 && reg.kind !== "fp") parts.push(`off=${reg.off}`);
  if (reg.isPacket) parts.push(`r=${reg.size}`);
  if (reg.kind === "mem") parts.push(`sz=${reg.size}`);
  if (reg.map !== undefined) parts.push(`ks=${reg.map.keySize},vs=${reg.map.valueSize}`);
  if (!isConst(reg.v)) {
    parts.push(...rangeText(reg.v));
    if (!i64.eq(reg.v.bits.mask, i64.ALL)) parts.push(`var_off=${tnumText(reg.v.bits)}`);
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
