/**
 * The vCPU state block: what generated code touches, at fixed byte offsets from the block's base in the shared memory.
 * A *slot* is such an offset; records name registers by slot, so that `ah` is `rax + 1` and "no index" is `ZERO`.
 * Everything the data plane does not need (control registers, MSRs, descriptor caches) lives in TypeScript.
 */
export const STATE_SIZE = 4096;

/** 16 general registers of 8 bytes, hardware numbering. */
export const GPR = 0x000;
/** Eight bytes that are always zero: the absent base, index or segment. */
export const ZERO = 0x080;
/** Integer temporary of split instructions. */
export const TMP = 0x088;
/** Effective address computed by an `ea16`/`ea32` record. */
export const EA_TMP = 0x090;
/** Linear address of the page being executed (low 12 bits zero). */
export const PAGE_VA = 0x098;
/** Flag result, sign-extended from the operand size. */
export const FR = 0x0a0;
/** Flag carries: bit 63 carry out, bit 62 carry into the sign bit, bit 3 auxiliary carry, bits 8-15 parity delta, bit 16 sign delta. */
export const FA = 0x0a8;
/** RFLAGS without CF PF AF ZF SF OF (u32); bit 1 always set. */
export const FLAGS = 0x0b0;
/** Linear address of the next instruction, valid outside `run`. */
export const PC = 0x0b8;
/** Bases of ES CS SS DS FS GS, 8 bytes each. */
export const SEG_BASE = 0x0c0;
/** Base of the stack segment as the stack instructions of non-64-bit code use it. */
export const STACK_MASK = 0x0f0;
/** Third word of flags that are not worked out (i64); see `FK`. */
export const FB = 0x0f8;
/** Instructions that may still be started (i32); negative after the last one. */
export const BUDGET = 0x100;
/** Budget this slice started with (i32): retired = SLICE - BUDGET. */
export const SLICE = 0x104;
/** Record of the instruction for which TypeScript was called, or at which generated code stopped; 0 between instructions (u32). */
export const REC = 0x108;
/** TLB bases of the current mmu index: read, write, fetch (u32 each). */
export const TLB_READ = 0x10c;
export const TLB_WRITE = 0x110;
export const TLB_FETCH = 0x114;
/** Non-zero when an interrupt waits for IF (u32). */
export const INTR_PENDING = 0x118;
/** Host address of the read-modify-write in progress (u32). */
export const RMW_HOST = 0x11c;
/** Linear address of the access that missed the TLB (i64), and `SlowAccess` plus its size (u32). */
export const SLOW_ADDRESS = 0x120;
export const SLOW_ACCESS = 0x128;
/** Exception vector for the `raise` exit (u32). */
export const RAISE = 0x12c;
/** Operation for the `outside` exit (u32). */
export const OUTSIDE_OP = 0x130;
/** Staging for accesses that have no single host address: MMIO and page-crossing (64 bytes). */
export const SCRATCH = 0x140;
/** Vector temporaries of split instructions, 16 bytes each: the memory operand, and the destination of an MMX instruction. */
export const XTMP = 0x180;
export const XTMP2 = 0x190;
export const MXCSR = 0x1a0;
/** Current privilege level (u32). */
export const CPL = 0x1a4;
/** Exception every SSE instruction raises (6 or 7), or 0 while SSE can be used (u32). MMX_OFF is the same for MMX. */
export const SSE_OFF = 0x1a8;
export const MMX_OFF = 0x1ac;
/** Value of the budget when STI last cleared the way for interrupts (i32); 0 if it was the last instruction of the slice. */
export const STI_LEFT = 0x1b0;
/** Bits of a linear address that only repeat the one below them: 16, or 7 under CR4.LA57 (u32). */
export const SIGN_BITS = 0x1b4;
/** How `FA`, `FB` and `FR` are to be read between two regions: 0 = worked out, else a `flagKind` (u32). */
export const FK = 0x1b8;
/** Instructions retired in regions, modulo 2^64 (u64). */
export const REGION_RETIRED = 0x1c0;
/** How often a region was entered, modulo 2^32 (u32). */
export const REGION_ENTRIES = 0x1c8;
/** Regions that are being executed on behalf of others, one for each that waits for a return (u32). */
export const CALL_DEPTH = 0x1cc;
/** Head of the region in which execution came to an end, if others waited for it, else 0 (u32), and the budget it was entered with (i32). */
export const ENDED_HEAD = 0x1d0;
export const ENDED_BEGUN = 0x1d4;
/** Time-stamp counter that a region asked for (u64), and `IA32_TSC_AUX` (u32). */
export const STAMP = 0x1d8;
export const STAMP_AUX = 0x1e0;
/** XMM0-15, 16 bytes each. */
export const XMM = 0x200;
/** x87/MMX registers by physical number, 16 bytes each: 64-bit significand, then 16 bits of sign and exponent. */
export const FPR = 0x300;
/** x87 control word, status word (with TOP), abridged tag byte (u16, u16, u8); then FOP, FIP, FDP. */
export const FCW = 0x380;
export const FSW = 0x382;
export const FTW = 0x384;

/**
 * Offsets in each segment that code outside 64-bit mode may read and write, 16 bytes a segment in encoding order: lowest readable,
 * highest readable, lowest writable, highest writable offset (u32, inclusive). Nothing is allowed where the lowest is above the highest.
 */
export const SEG_RANGE = 0x400;
/** Highest offset of an instruction's first byte outside 64-bit mode: the limit of CS (u32). */
export const CS_LIMIT = 0x460;

/** Entries of one TLB; a power of two. */
export const TLB_ENTRIES = 4096;
/**
 * Bytes of an entry: i64 tag (page address, or `TLB_INVALID`); i32 addend, in a fetch TLB the host address of the page's map; i32 owner: the low
 * half of the guest frame number, in a fetch TLB the serial number of the `CodePage`, -1 while an entry leads elsewhere for one instruction.
 */
export const TLB_ENTRY = 16;
/** From one TLB to the next. The line more keeps the entries of a page in the TLBs apart in a cache of the host. */
export const TLB_BYTES = TLB_ENTRIES * TLB_ENTRY + 64;
/** Tag that no page-aligned address equals. */
export const TLB_INVALID = 1;

/** Which of the three sets of TLBs is in force. */
export enum MmuIndex {
  Kernel = 0,
  User = 1,
  /** Supervisor with EFLAGS.AC set while SMAP is on. */
  KernelAc = 2,
}
export const MMU_INDEXES = 3;

/** Arithmetic flags of RFLAGS. */
export const CF = 1;
export const PF = 4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const OF = 0x800;
export const ARITH = CF | PF | AF | ZF | SF | OF;
/** System flags of RFLAGS. */
export const TF = 0x100;
export const IF = 0x200;
export const DF = 0x400;
export const IOPL = 0x3000;
export const NT = 0x4000;
export const RF = 0x10000;
export const VM = 0x20000;
export const AC = 0x40000;
export const VIF = 0x80000;
export const VIP = 0x100000;
export const ID = 0x200000;
