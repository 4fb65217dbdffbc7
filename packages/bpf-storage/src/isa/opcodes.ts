/** Fields of an opcode, named as in RFC 9669, section 3 and in linux/bpf.h. */

/** Bits 0 to 2 of an opcode. */
export const Class = { Ld: 0, Ldx: 1, St: 2, Stx: 3, Alu: 4, Jmp: 5, Jmp32: 6, Alu64: 7 } as const;
export const CLASS_MASK = 0x07;

/** Bit 3 of arithmetic and jumps: the operand is the immediate or the source register; of END: to little- or big-endian. */
export const Source = { K: 0, X: 0x08 } as const;

/** Bits 4 to 7 of arithmetic. */
export const AluOp = {
  Add: 0x00,
  Sub: 0x10,
  Mul: 0x20,
  Div: 0x30,
  Or: 0x40,
  And: 0x50,
  Lsh: 0x60,
  Rsh: 0x70,
  Neg: 0x80,
  Mod: 0x90,
  Xor: 0xa0,
  Mov: 0xb0,
  Arsh: 0xc0,
  End: 0xd0,
} as const;

/** Bits 4 to 7 of jumps. */
export const JmpOp = {
  Ja: 0x00,
  Jeq: 0x10,
  Jgt: 0x20,
  Jge: 0x30,
  Jset: 0x40,
  Jne: 0x50,
  Jsgt: 0x60,
  Jsge: 0x70,
  Call: 0x80,
  Exit: 0x90,
  Jlt: 0xa0,
  Jle: 0xb0,
  Jslt: 0xc0,
  Jsle: 0xd0,
  /** JCOND with `src` 0: may_goto (linux 6.10). */
  Jcond: 0xe0,
} as const;
export const OP_MASK = 0xf0;

/** Bits 3 and 4 of loads and stores. */
export const Size = { W: 0x00, H: 0x08, B: 0x10, Dw: 0x18 } as const;
export const SIZE_MASK = 0x18;

/** Bits 5 to 7 of loads and stores. */
export const Mode = { Imm: 0x00, Abs: 0x20, Ind: 0x40, Mem: 0x60, MemSx: 0x80, Atomic: 0xc0 } as const;
export const MODE_MASK = 0xe0;

/** Operations of atomics, in the immediate; the arithmetic ones are those of {@link AluOp}. */
export const Atomic = {
  Add: 0x00,
  Or: 0x40,
  And: 0x50,
  Xor: 0xa0,
  Fetch: 0x01,
  Xchg: 0xe1,
  Cmpxchg: 0xf1,
} as const;

/** What the source register of a 64-bit immediate load says its immediate is (linux/bpf.h). */
export const Pseudo = { MapFd: 1, MapValue: 2, BtfId: 3, Func: 4, MapIdx: 5, MapIdxValue: 6 } as const;

/** What the source register of a call says its immediate is. */
export const CallKind = { Helper: 0, Local: 1, Kfunc: 2 } as const;

export const LD_IMM64 = Class.Ld | Mode.Imm | Size.Dw;
export const EXIT = Class.Jmp | JmpOp.Exit;
export const CALL = Class.Jmp | JmpOp.Call;
/** CALLX: the immediate, or in later compilers `dst`, tells the register with the number of the function. */
export const CALLX = CALL | Source.X;
export const JA = Class.Jmp | JmpOp.Ja;
/** Unconditional jump by a 32-bit distance. */
export const JA32 = Class.Jmp32 | JmpOp.Ja;

/** The frame pointer. */
export const FP = 10;
/** The register in which LD_ABS and LD_IND expect the context. */
export const PACKET = 6;
export const REGISTERS = 11;

/** Bytes that a load or store of this opcode accesses. */
export const accessSize = (code: number): 1 | 2 | 4 | 8 => {
  switch (code & SIZE_MASK) {
    case Size.B:
      return 1;
    case Size.H:
      return 2;
    case Size.W:
      return 4;
    default:
      return 8;
  }
};
