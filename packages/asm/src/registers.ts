/** Size of a general purpose register in bytes. */
export type GprSize = 1 | 2 | 4 | 8;

/** A general purpose register. `num` is the 4-bit number of the encoding; AH, CH, DH and BH are 4..7 with `high` set. */
export interface Gpr {
  readonly kind: "gpr";
  readonly name: string;
  readonly num: number;
  readonly size: GprSize;
  readonly high: boolean;
}

/** A segment register, numbered as in ModRM.reg: ES CS SS DS FS GS = 0..5. */
export interface SegmentReg {
  readonly kind: "seg";
  readonly name: string;
  readonly num: number;
}

/** A control register CR0..CR8. */
export interface ControlReg {
  readonly kind: "cr";
  readonly name: string;
  readonly num: number;
}

/** A debug register DR0..DR7. */
export interface DebugReg {
  readonly kind: "dr";
  readonly name: string;
  readonly num: number;
}

/** An SSE register XMM0..XMM15. */
export interface XmmReg {
  readonly kind: "xmm";
  readonly name: string;
  readonly num: number;
}

/** The instruction pointer; only a base of a memory operand, only in 64-bit mode. */
export interface RipReg {
  readonly kind: "rip";
  readonly name: "rip";
}

/** Any register that can be an operand. */
export type Register = Gpr | SegmentReg | ControlReg | DebugReg | XmmReg;

const gpr = (name: string, num: number, size: GprSize, high = false): Gpr => ({ kind: "gpr", name, num, size, high });
const seg = (name: string, num: number): SegmentReg => ({ kind: "seg", name, num });
const cr = (num: number): ControlReg => ({ kind: "cr", name: `cr${num}`, num });
const dr = (num: number): DebugReg => ({ kind: "dr", name: `dr${num}`, num });
const xmm = (num: number): XmmReg => ({ kind: "xmm", name: `xmm${num}`, num });

export const rax = gpr("rax", 0, 8);
export const rcx = gpr("rcx", 1, 8);
export const rdx = gpr("rdx", 2, 8);
export const rbx = gpr("rbx", 3, 8);
export const rsp = gpr("rsp", 4, 8);
export const rbp = gpr("rbp", 5, 8);
export const rsi = gpr("rsi", 6, 8);
export const rdi = gpr("rdi", 7, 8);
export const r8 = gpr("r8", 8, 8);
export const r9 = gpr("r9", 9, 8);
export const r10 = gpr("r10", 10, 8);
export const r11 = gpr("r11", 11, 8);
export const r12 = gpr("r12", 12, 8);
export const r13 = gpr("r13", 13, 8);
export const r14 = gpr("r14", 14, 8);
export const r15 = gpr("r15", 15, 8);

export const eax = gpr("eax", 0, 4);
export const ecx = gpr("ecx", 1, 4);
export const edx = gpr("edx", 2, 4);
export const ebx = gpr("ebx", 3, 4);
export const esp = gpr("esp", 4, 4);
export const ebp = gpr("ebp", 5, 4);
export const esi = gpr("esi", 6, 4);
export const edi = gpr("edi", 7, 4);
export const r8d = gpr("r8d", 8, 4);
export const r9d = gpr("r9d", 9, 4);
export const r10d = gpr("r10d", 10, 4);
export const r11d = gpr("r11d", 11, 4);
export const r12d = gpr("r12d", 12, 4);
export const r13d = gpr("r13d", 13, 4);
export const r14d = gpr("r14d", 14, 4);
export const r15d = gpr("r15d", 15, 4);

export const ax = gpr("ax", 0, 2);
export const cx = gpr("cx", 1, 2);
export const dx = gpr("dx", 2, 2);
export const bx = gpr("bx", 3, 2);
export const sp = gpr("sp", 4, 2);
export const bp = gpr("bp", 5, 2);
export const si = gpr("si", 6, 2);
export const di = gpr("di", 7, 2);
export const r8w = gpr("r8w", 8, 2);
export const r9w = gpr("r9w", 9, 2);
export const r10w = gpr("r10w", 10, 2);
export const r11w = gpr("r11w", 11, 2);
export const r12w = gpr("r12w", 12, 2);
export const r13w = gpr("r13w", 13, 2);
export const r14w = gpr("r14w", 14, 2);
export const r15w = gpr("r15w", 15, 2);

export const al = gpr("al", 0, 1);
export const cl = gpr("cl", 1, 1);
export const dl = gpr("dl", 2, 1);
export const bl = gpr("bl", 3, 1);
export const spl = gpr("spl", 4, 1);
export const bpl = gpr("bpl", 5, 1);
export const sil = gpr("sil", 6, 1);
export const dil = gpr("dil", 7, 1);
export const r8b = gpr("r8b", 8, 1);
export const r9b = gpr("r9b", 9, 1);
export const r10b = gpr("r10b", 10, 1);
export const r11b = gpr("r11b", 11, 1);
export const r12b = gpr("r12b", 12, 1);
export const r13b = gpr("r13b", 13, 1);
export const r14b = gpr("r14b", 14, 1);
export const r15b = gpr("r15b", 15, 1);
export const ah = gpr("ah", 4, 1, true);
export const ch = gpr("ch", 5, 1, true);
export const dh = gpr("dh", 6, 1, true);
export const bh = gpr("bh", 7, 1, true);

export const es = seg("es", 0);
export const cs = seg("cs", 1);
export const ss = seg("ss", 2);
export const ds = seg("ds", 3);
export const fs = seg("fs", 4);
export const gs = seg("gs", 5);

export const cr0 = cr(0);
export const cr2 = cr(2);
export const cr3 = cr(3);
export const cr4 = cr(4);
export const cr8 = cr(8);

export const dr0 = dr(0);
export const dr1 = dr(1);
export const dr2 = dr(2);
export const dr3 = dr(3);
export const dr6 = dr(6);
export const dr7 = dr(7);

export const xmm0 = xmm(0);
export const xmm1 = xmm(1);
export const xmm2 = xmm(2);
export const xmm3 = xmm(3);
export const xmm4 = xmm(4);
export const xmm5 = xmm(5);
export const xmm6 = xmm(6);
export const xmm7 = xmm(7);
export const xmm8 = xmm(8);
export const xmm9 = xmm(9);
export const xmm10 = xmm(10);
export const xmm11 = xmm(11);
export const xmm12 = xmm(12);
export const xmm13 = xmm(13);
export const xmm14 = xmm(14);
export const xmm15 = xmm(15);

export const rip: RipReg = { kind: "rip", name: "rip" };
