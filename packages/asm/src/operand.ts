import { AddressError, ValueError } from "./errors.js";
import type { Label, ShortTarget } from "./label.js";
import type { Gpr, Register, RipReg, SegmentReg } from "./registers.js";

/** What a memory operand can say besides its base. */
export interface MemOptions {
  readonly index?: Gpr;
  /** Factor of the index: 1 (default), 2, 4 or 8. */
  readonly scale?: 1 | 2 | 4 | 8;
  /** Signed displacement in bytes, added to the base. */
  readonly disp?: number | bigint;
  /** Bytes accessed: 1, 2, 4, 8, 16, or 4/6/10 for far pointers. Needed only where no register operand tells. */
  readonly size?: number;
  /** Segment override. */
  readonly seg?: SegmentReg;
}

/** A memory operand; made by {@link mem}. */
export interface Mem {
  readonly kind: "mem";
  readonly base: Gpr | RipReg | Label | undefined;
  readonly index: Gpr | undefined;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: bigint;
  /** Bytes, 0 when left open. */
  readonly size: number;
  readonly seg: SegmentReg | undefined;
}

/** Everything an instruction method takes. A bare label is a branch target or its address as an immediate. */
export type Operand = Register | Mem | Label | ShortTarget | number | bigint;

/**
 * A memory operand.
 *
 * @param base a register; `rip`; a label (RIP-relative in 64-bit code, absolute otherwise); or a number: an absolute
 *   address, which in 64-bit code must fit in 32 bits sign-extended.
 * @throws AddressError for a scale, index or register size that no address can have; ValueError for a fraction.
 * @example a.mov(rax, mem(rbx, { index: rcx, scale: 4, disp: 8 }));
 */
export function mem(base: Gpr | RipReg | Label | number | bigint, options: MemOptions = {}): Mem {
  const { index, scale = 1, size = 0, seg } = options;
  if (![1, 2, 4, 8].includes(scale)) throw new AddressError(`scale ${scale}: expected 1, 2, 4 or 8`);
  if (index?.size === 1) throw new AddressError(`index ${index.name}: expected a 16-, 32- or 64-bit register`);
  let disp = toBigInt(options.disp ?? 0, "disp");
  if (typeof base === "number" || typeof base === "bigint") {
    disp += toBigInt(base, "address");
    return { kind: "mem", base: undefined, index, scale, disp, size, seg };
  }
  if (base.kind === "gpr" && base.size === 1) {
    throw new AddressError(`base ${base.name}: expected a 16-, 32- or 64-bit register`);
  }
  if (base.kind === "rip" && index) throw new AddressError("rip takes no index register");
  return { kind: "mem", base, index, scale, disp, size, seg };
}

/** An exact integer from what the caller wrote. @throws ValueError for a number that is not a safe integer. */
export function toBigInt(value: number | bigint, what: string): bigint {
  if (typeof value === "bigint") return value;
  if (!Number.isSafeInteger(value))
    throw new ValueError(`${what} ${value}: expected an integer up to 2^53, or a bigint`);
  return BigInt(value);
}

/** The operand as it appears in error messages. */
export function describeOperand(operand: Operand): string {
  if (typeof operand === "number" || typeof operand === "bigint") return `${operand}`;
  switch (operand.kind) {
    case "label":
      return operand.name;
    case "short":
      return `short ${operand.label.name}`;
    case "mem": {
      const parts: string[] = [];
      if (operand.base) parts.push(operand.base.name);
      if (operand.index) parts.push(`${operand.index.name}*${operand.scale}`);
      if (operand.disp !== 0n || parts.length === 0) parts.push(`${operand.disp}`);
      return `${operand.size ? `m${operand.size * 8}` : "m"}[${parts.join("+")}]`;
    }
    default:
      return operand.name;
  }
}
