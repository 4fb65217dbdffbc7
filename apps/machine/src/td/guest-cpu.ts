import { type Exit, halvesOf, Seg, u64, type Vcpu } from "@vm/cpu";
import { Licence } from "@vm/mmu";
import type { GuestCpu, InitialState, VmExit } from "@vm/tdx";

const PAGE = 4096;
const MSR = { PAT: 0x277, XSS: 0xda0, FMASK: 0xc000_0084 } as const;
const FLAT_CODE = 0xc09b;
const FLAT_DATA = 0xc093;
const TSS_BUSY = 0x8b;
const UNUSABLE = 0;
const CR4_VMXE = 1n << 13n;
const XMM_BYTES = 256;
const EXTERNAL_INTERRUPT: VmExit = { reason: "external-interrupt" };

/** One of a machine's processors as the TDX module has it: who runs it is told only why it left. */
export class TdGuestCpu implements GuestCpu {
  readonly cpu: Vcpu;
  readonly gpr: GuestCpu["gpr"];
  readonly xmm: GuestCpu["xmm"];
  /** Instructions that the next {@link run} may execute. */
  budget = 0;
  /** Why a hook has had the guest left. */
  #exit: VmExit | null = null;
  /** A register on its way, whole and by halves: a bigint that is shifted together costs several. */
  readonly #whole = new BigUint64Array(1);
  readonly #halves = new Uint32Array(this.#whole.buffer);

  constructor(cpu: Vcpu) {
    this.cpu = cpu;
    this.gpr = {
      get: (index) => this.#join(cpu.regLo(index), cpu.regHi(index)),
      set: (index, value) => {
        this.#whole[0] = value;
        cpu.setReg(index, this.#halves[0] as number, this.#halves[1] as number);
      },
    };
    this.xmm = {
      get: (to) => to.set(cpu.xmm),
      set: (from) => cpu.xmm.set(from.subarray(0, XMM_BYTES)),
    };
  }

  #join(lo: number, hi: number): bigint {
    this.#halves[0] = lo;
    this.#halves[1] = hi;
    return this.#whole[0] as bigint;
  }

  get cpl(): number {
    return this.cpu.cpl;
  }

  get cr0(): bigint {
    return BigInt(this.cpu.cr0 >>> 0);
  }

  get cr3(): bigint {
    return u64(this.cpu.paging.cr3Lo, this.cpu.paging.cr3Hi);
  }

  get cr4(): bigint {
    return BigInt(this.cpu.cr4 >>> 0);
  }

  get efer(): bigint {
    return BigInt(this.cpu.efer >>> 0);
  }

  get is64Bit(): boolean {
    return this.cpu.mode === 64;
  }

  get xcr0(): bigint {
    return BigInt(this.cpu.xcr0 >>> 0);
  }

  get xss(): bigint {
    return u64(...this.cpu.msr(MSR.XSS));
  }

  get rip(): bigint {
    return this.#join(this.cpu.ripLo, this.cpu.ripHi);
  }

  set rip(value: bigint) {
    this.cpu.setRip(...halvesOf(value));
    this.cpu.loadRip();
  }

  get instructionLength(): number {
    return this.cpu.instructionLength;
  }

  /** TDX module ABI specification, "Initial State of TD VCPU": 32-bit protected mode with flat segments, paging off. */
  reset(state: InitialState): void {
    const { cpu } = this;
    cpu.reset();
    for (const [index, value] of state.gprs.entries()) this.gpr.set(index, value);
    cpu.cr0 = Number(state.cr0) | 0;
    // VMXE is not the guest's to see.
    cpu.cr4 = Number(state.cr4 & ~CR4_VMXE) | 0;
    cpu.efer = Number(state.efer) | 0;
    cpu.xcr0 = Number(state.xcr0) | 0;
    [cpu.dr[12], cpu.dr[13]] = halvesOf(state.dr6);
    [cpu.dr[14], cpu.dr[15]] = halvesOf(state.dr7);
    cpu.setMsr(MSR.PAT, ...halvesOf(state.pat));
    cpu.setMsr(MSR.FMASK, ...halvesOf(state.fmask));
    Object.assign(cpu.gdtr, { baseLo: 0, baseHi: 0, limit: state.tableLimit });
    Object.assign(cpu.idtr, { baseLo: 0, baseHi: 0, limit: state.tableLimit });
    cpu.ldtr = { ...segment(UNUSABLE), limit: 0 };
    cpu.tr = { ...segment(TSS_BUSY), limit: 0xffff };
    for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) cpu.setSegment(seg, segment(FLAT_DATA));
    cpu.setSegment(Seg.CS, segment(FLAT_CODE));
    cpu.rflags = Number(state.rflags);
    cpu.updatePaging();
    cpu.updateMode();
    cpu.debugRegistersChanged();
    this.rip = state.rip;
  }

  inject(vector: number, errorCode: number | null): void {
    this.cpu.inject(vector, errorCode);
  }

  flushTlb(): void {
    this.cpu.tlb.flush();
  }

  /** For hooks: has the guest left for `exit`, with the instruction done. */
  leave(exit: VmExit): void {
    this.#exit = exit;
    this.cpu.kick();
  }

  /** For hooks: has the guest left for `exit` before the instruction. */
  leaveBefore(exit: VmExit): void {
    this.#exit = exit;
    this.cpu.leave();
  }

  run(): VmExit {
    this.#exit = null;
    const exit = this.cpu.run(this.budget);
    return this.#exit ?? vmExitOf(exit);
  }
}

function vmExitOf(exit: Exit): VmExit {
  if (exit.reason === "shutdown") return { reason: "triple-fault" };
  if (exit.reason !== "memory-fault") return EXTERNAL_INTERRUPT;
  const access = (exit.access & Licence.Write) !== 0 ? "write" : (exit.access & Licence.Fetch) !== 0 ? "fetch" : "read";
  return { reason: "ept-violation", violation: { gpa: exit.gfn * PAGE, access } };
}

const segment = (attributes: number) => ({ selector: 0, baseLo: 0, baseHi: 0, limit: 0xffffffff, attributes });
