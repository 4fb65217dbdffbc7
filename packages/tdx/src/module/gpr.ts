/** General-purpose registers in the order of their x86 encoding: the index into {@link Gprs} and the bit of a TDVMCALL's mask. */
export enum Gpr {
  Rax = 0,
  Rcx = 1,
  Rdx = 2,
  Rbx = 3,
  Rsp = 4,
  Rbp = 5,
  Rsi = 6,
  Rdi = 7,
  R8 = 8,
  R9 = 9,
  R10 = 10,
  R11 = 11,
  R12 = 12,
  R13 = 13,
  R14 = 14,
  R15 = 15,
}

/** Sixteen registers of 64 bits, indexed by {@link Gpr}. */
export type Gprs = BigUint64Array;

/** Registers that are also there as halves of 32 bits: number 2n is the low half of register n. Whoever counts with numbers needs no bigints then. */
export class RegisterFile {
  readonly regs: Gprs = new BigUint64Array(16);
  readonly halves = new Uint32Array(this.regs.buffer);

  /** Puts a number below 2^53 into a register. */
  setNumber(gpr: Gpr, value: number): void {
    this.halves[2 * gpr] = value;
    this.halves[2 * gpr + 1] = Math.floor(value / 2 ** 32);
  }
}

/** XMM0 to XMM15, 16 bytes each. */
export const XMM_BYTES = 256;
