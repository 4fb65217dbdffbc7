/** Where the engine keeps what it keeps in memory, and what a pointer is. */

/**
 * Upper half of every pointer into the memory, whose lower half is the offset there: kernel addresses that no kernel of x86-64 has, since Linux leaves
 * them to hypervisors (Documentation/arch/x86/x86_64/mm.rst). A guest's own, the direct map at 0xffff8880 before all, are none of them.
 */
export const KERNEL_HIGH = 0xffff8000;

/**
 * Objects that programs get pointers to begin at this offset or above, bytes. The offset of an access is at most 32767, so that adding it to
 * the lower half of a pointer that is within an object in the end never wraps around.
 */
export const LOWEST_OBJECT = 0x8000;

/** Bytes of a frame, if nothing else is said (MAX_BPF_STACK, linux/filter.h). */
export const FRAME_BYTES = 512;
/** Frames that an unverified program may have at a time (MAX_CALL_FRAMES, linux/bpf_verifier.h). */
export const MAX_FRAMES = 8;
/** Iterations that may_goto and bpf_loop allow (BPF_MAX_LOOPS, linux/bpf.h). */
export const MAX_LOOPS = 8 << 20;
/** Ranges of memory that unverified programs may access beside their stack. */
export const WINDOWS = 4;

/** The state block, at the start of the engine's area: offsets in bytes. */
export const State = {
  /** u32: below here the stack is free. */
  sp: 0,
  /** u32: frames of unverified programs do not begin below here. */
  floor: 4,
  /** i32: instructions that may still be executed. */
  fuel: 8,
  /** u32: tail calls made by this run. */
  tailCalls: 12,
  /** u32: where the interpreter's next register file goes. */
  registers: 16,
  /** u32: end of what the stack window includes: the frame pointer of the run's first frame. */
  stackTop: 20,
  /** u32: bytes of the memory that probing loads read without asking. */
  memoryBytes: 24,
  /** u32: kind of the fault that ended the run, an index of `FAULTS`; 0 if none. */
  fault: 28,
  /** u32: instruction that faulted. */
  faultPc: 32,
  /** u64: address of the access that faulted, or the number of a missing function. */
  faultAddress: 40,
  /** u64: what the last run or callback returned. */
  result: 48,
  /** u64: what a probe read. */
  probed: 56,
  /** `WINDOWS` times u32, u32: first byte, byte after the last. */
  windows: 64,
} as const;

const STATE_BYTES = 0x100;
const REGISTER_STACK_BYTES = 0x10000;
const STACK_BYTES = 0x20000;

/** Register file of an interpreted function: r0 to r9 at eight times their number, r10, and the may_goto counter. */
export const REGISTER_FILE_BYTES = 96;
export const MAY_GOTO_COUNTER = 88;

/** What a call of a host function takes of the stack: five arguments and the result, u64 each. */
export const CALL_BYTES = 48;
export const CALL_RESULT = 40;

/** Bytes of the engine's area. */
export const AREA_BYTES: number = STATE_BYTES + REGISTER_STACK_BYTES + STACK_BYTES;

/** Offsets of the parts of an area. */
export interface Area {
  readonly state: number;
  readonly registers: number;
  readonly registersEnd: number;
  /** Lowest offset at which a frame may begin: a call of a host function still fits below it. */
  readonly lowestFrame: number;
  readonly stackTop: number;
}

export const areaAt = (offset: number): Area => {
  const registers = offset + STATE_BYTES;
  const stack = registers + REGISTER_STACK_BYTES;
  return {
    state: offset,
    registers,
    registersEnd: stack,
    lowestFrame: stack + CALL_BYTES,
    stackTop: stack + STACK_BYTES,
  };
};
