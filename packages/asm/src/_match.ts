import type { Form, Pattern } from "./_notation.js";
import type { Mem, Operand } from "./operand.js";
import type { Gpr } from "./registers.js";

/** Width of code, and with it default operand and address sizes: CS.L and CS.D of the segment the code will run in. */
export type Bits = 16 | 32 | 64;

const FIXED_SEGMENTS: ReadonlySet<string> = new Set(["es", "cs", "ss", "ds", "fs", "gs"]);

/** Whether `operands` fit `form` in code of `bits`. */
export function matches(form: Form, operands: readonly Operand[], bits: Bits): boolean {
  return (
    form.patterns.length === operands.length &&
    availableIn(form, bits) &&
    form.patterns.every((pattern, i) => fits(pattern, operands[i] as Operand, bits))
  );
}

function availableIn(form: Form, bits: Bits): boolean {
  if (bits !== 64) return form.only !== "x64" && !form.rexW && form.opSize !== 8;
  if (form.only === "x32" || form.addrSize === 2) return false;
  if (form.stack === "d64") return form.opSize !== 4;
  return form.stack !== "f64" || form.opSize === 8;
}

function fits(pattern: Pattern, operand: Operand, bits: Bits): boolean {
  if (typeof operand === "number" || typeof operand === "bigint") return fitsNumber(pattern, operand, bits);
  switch (operand.kind) {
    case "short":
      return pattern.kind === "rel" && pattern.width !== "z";
    case "label":
      return fitsLabel(pattern, bits);
    case "mem":
      return fitsMem(pattern, operand);
    case "gpr":
      return gprExists(operand, bits) && fitsGpr(pattern, operand);
    case "seg":
      return pattern.kind === "fixed"
        ? FIXED_SEGMENTS.has(pattern.reg) && pattern.reg === operand.name
        : pattern.kind === "sreg";
    case "xmm":
      return (
        (pattern.kind === "xmm" || pattern.kind === "xmm-rm" || pattern.kind === "xmm-mem") &&
        (bits === 64 || operand.num < 8)
      );
    case "cr":
    case "dr":
      return pattern.kind === operand.kind && (bits === 64 || operand.num < 8);
  }
}

function fitsNumber(pattern: Pattern, value: number | bigint, bits: Bits): boolean {
  if (typeof value === "number" && !Number.isSafeInteger(value)) return false;
  const v = BigInt(value);
  switch (pattern.kind) {
    case "one":
      return v === 1n;
    case "imm":
      return fitsField(v, immWidth(pattern, bits), pattern.extendTo === "mode" ? bits / 8 : pattern.extendTo);
    case "rel":
      return pattern.width !== "short";
    case "sel":
      return fitsField(v, 2, 2);
    case "off":
      return v >= 0n && v < 1n << 32n;
    default:
      return false;
  }
}

function fitsLabel(pattern: Pattern, bits: Bits): boolean {
  if (pattern.kind === "rel") return pattern.width !== "short";
  if (pattern.kind === "off") return true;
  if (pattern.kind !== "imm") return false;
  const width = immWidth(pattern, bits);
  return width > 1 && width === (pattern.extendTo === "mode" ? bits / 8 : pattern.extendTo);
}

function fitsMem(pattern: Pattern, operand: Mem): boolean {
  switch (pattern.kind) {
    case "rm":
    case "mem":
    case "xmm-mem":
      return operand.size === 0 || pattern.size === 0 || operand.size === pattern.size;
    case "moffs":
      return (
        (operand.size === 0 || operand.size === pattern.size) &&
        operand.index === undefined &&
        (operand.base === undefined || operand.base.kind === "label")
      );
    default:
      return false;
  }
}

function fitsGpr(pattern: Pattern, reg: Gpr): boolean {
  if (pattern.kind === "fixed") return pattern.reg === reg.name;
  return (pattern.kind === "gpr" || pattern.kind === "gpr-rm" || pattern.kind === "rm") && pattern.size === reg.size;
}

function gprExists(reg: Gpr, bits: Bits): boolean {
  if (bits === 64) return true;
  return reg.size !== 8 && reg.num < 8 && (reg.size !== 1 || reg.high || reg.num < 4);
}

/** Bytes of an immediate field in code of `bits`. */
export function immWidth(pattern: Pattern & { kind: "imm" }, bits: Bits): number {
  return pattern.width === "z" ? (bits === 16 ? 2 : 4) : pattern.width;
}

/**
 * Whether a field of `width` bytes, sign-extended to `extendTo` bytes, can give `value`. Both readings of an
 * `extendTo`-byte number are accepted: -1 and 255 are the same byte.
 */
export function fitsField(value: bigint, width: number, extendTo: number): boolean {
  const bits = extendTo * 8;
  if (value < -(1n << BigInt(bits - 1)) || value >= 1n << BigInt(bits)) return false;
  return width === extendTo || BigInt.asIntN(width * 8, value) === BigInt.asIntN(bits, value);
}
