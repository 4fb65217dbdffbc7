import { halvesOf, Seg, type SegmentCache, u64, type Vcpu } from "@vm/cpu";

/** General registers, in hardware numbering. */
const GENERAL = [
  ...["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"],
  ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
] as const;

/** Bits of RFLAGS that can be set: all but VM, which changes the mode. */
const SETTABLE_FLAGS = 0x3d7fd7;

type General =
  | "rax"
  | "rcx"
  | "rdx"
  | "rbx"
  | "rsp"
  | "rbp"
  | "rsi"
  | "rdi"
  | "r8"
  | "r9"
  | "r10"
  | "r11"
  | "r12"
  | "r13"
  | "r14"
  | "r15";

/**
 * The registers of one processor, as unsigned 64-bit numbers. In a hook they are those at the start of the instruction, or of the event's
 * delivery; otherwise those between two instructions. Outside 64-bit mode the high halves of general registers are not the guest's.
 */
export type VcpuRegisters = { [R in General]: bigint } & {
  /** Instruction pointer. To be set between two instructions: in an exit handler, or while the processor is held or paused. */
  rip: bigint;
  /** Flags. VM cannot be changed. */
  rflags: bigint;
  readonly cr0: bigint;
  /** Address of the last page fault. */
  cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  /** Privilege level, 0 to 3. */
  readonly cpl: number;
};

/** Sets RFLAGS between two instructions, VM excepted. */
export function setFlags(cpu: Vcpu, value: number): void {
  cpu.rflags = (value & SETTABLE_FLAGS) | (cpu.rflags & ~SETTABLE_FLAGS) | 2;
  cpu.updateMode();
  cpu.flagsChanged();
}

const base = ({ baseLo, baseHi }: SegmentCache): bigint => u64(baseLo, baseHi);

/** The registers of `cpu`, live. */
export function registersOf(cpu: Vcpu): VcpuRegisters {
  const registers = {
    get rip() {
      return u64(cpu.ripLo, cpu.ripHi);
    },
    set rip(value: bigint) {
      cpu.setRip(...halvesOf(value));
      cpu.loadRip();
    },
    get rflags() {
      return u64(cpu.rflags, 0);
    },
    set rflags(value: bigint) {
      setFlags(cpu, halvesOf(value)[0]);
    },
    get cr0() {
      return u64(cpu.cr0, 0);
    },
    get cr2() {
      return u64(cpu.cr2Lo, cpu.cr2Hi);
    },
    set cr2(value: bigint) {
      [cpu.cr2Lo, cpu.cr2Hi] = halvesOf(value);
    },
    get cr3() {
      return u64(cpu.paging.cr3Lo, cpu.paging.cr3Hi);
    },
    get cr4() {
      return u64(cpu.cr4, 0);
    },
    get efer() {
      return u64(cpu.efer, 0);
    },
    get fsBase() {
      return base(cpu.segments[Seg.FS] as SegmentCache);
    },
    get gsBase() {
      return base(cpu.segments[Seg.GS] as SegmentCache);
    },
    get cpl() {
      return cpu.cpl;
    },
  };
  GENERAL.forEach((name, r) => {
    Object.defineProperty(registers, name, {
      enumerable: true,
      get: () => u64(cpu.regLo(r), cpu.regHi(r)),
      set: (value: bigint) => cpu.setReg(r, ...halvesOf(value)),
    });
  });
  return registers as VcpuRegisters;
}
