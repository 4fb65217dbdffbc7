import { canonical, halvesOf, loadXsave, readMsr, saveXsave, u64, type Vcpu } from "@vm/cpu";
import type { Exception, Interception, PageVerdict, Status, VcpuEvents, VcpuPort } from "@vm/kvmi";
import type { Gfn, Mmu } from "@vm/mmu";
import type { Disposer } from "../../emitter.js";
import type { VcpuExit } from "../../exit.js";
import type { VcpuHandle } from "../../vcpu-handle.js";
import { Interceptions } from "./interceptions.js";
import type { RestrictedPages } from "./pages.js";
import type { Quota } from "./quota.js";
import { addressWidth, loadRegs, saveRegs, saveSregs } from "./registers.js";
import { Stepper, type StepTurns } from "./stepper.js";
import { UndoneInstruction } from "./undone.js";

/** Vectors that push an error code. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
/** IA32_PAT's kind of memory with no MTRRs offered: write-back for everything, as KVM has it. */
const WRITE_BACK = 6;
/** The TSC counts nanoseconds of virtual time. */
const TSC_HZ = 1e9;
const BP = 3;
const PF = 14;
const UNSEEN: PageVerdict = { action: "continue", context: null, repComplete: false };

export interface KvmiVcpuDesc {
  readonly handle: VcpuHandle;
  readonly memory: Mmu;
  /** The restricted pages of a view. */
  readonly pages: (view: number) => RestrictedPages;
  readonly steps: StepTurns;
  /** How many code breakpoints there may be. */
  readonly breakpoints: Quota;
}

/**
 * One vCPU of the machine as introspection sees it: what it is and does by itself here, instructions that are to be reported in
 * {@link Interceptions}, and those that touch restricted pages with {@link Stepper}.
 */
export class KvmiVcpu implements VcpuPort {
  readonly tscHz = TSC_HZ;
  readonly #desc: KvmiVcpuDesc;
  readonly #cpu: Vcpu;
  readonly #undone: UndoneInstruction;
  readonly #interceptions: Interceptions;
  readonly #stepper: Stepper;
  /** Restricted pages are watched, and steps noticed, whether the tool listens or not. */
  #hooks: readonly Disposer[] = [];
  #events: VcpuEvents | null = null;
  #held: Disposer | null = null;
  #singlestep = false;

  constructor(desc: KvmiVcpuDesc) {
    const { handle, memory, steps } = desc;
    this.#desc = desc;
    this.#cpu = handle.cpu;
    this.#undone = new UndoneInstruction(handle.cpu);
    const pages = (): RestrictedPages => desc.pages(this.view);
    this.#stepper = new Stepper({ handle, memory, steps, pages }, (gva) => this.translate(gva));
    this.#interceptions = new Interceptions(
      {
        handle,
        undone: this.#undone,
        events: () => this.#events,
        stepping: () => this.#stepper.active,
        ripGpa: () => this.translate(this.rip()) ?? 0,
      },
      desc.breakpoints,
    );
  }

  get initialized(): boolean {
    return this.#cpu.activity !== "wait-for-sipi";
  }

  get busy(): boolean {
    return this.#held === null && this.#cpu.runnable;
  }

  get view(): number {
    return this.#cpu.paging.view ?? 0;
  }
  set view(view: number) {
    if (view === this.view) return;
    this.#cpu.paging.view = view;
    this.#cpu.tlb.flush();
  }

  // Life

  connect(events: VcpuEvents | null): void {
    this.#events = events;
    if (events === null) {
      this.#undone.forget();
      return;
    }
    if (this.#hooks.length > 0) return;
    const { handle } = this.#desc;
    this.#hooks = [
      handle.on("pageAccess", (gfn, access, gva) => this.#pageAccess(gfn, access, gva)),
      handle.on("singleStep", () => this.#stepped()),
    ];
  }

  /** Ends all that watches this vCPU. */
  reset(): void {
    this.#stepper.finish();
    this.#stepper.forget();
    this.#undone.forget();
    this.#interceptions.reset();
    this.#singlestep = false;
    this.#cpu.singleStep = false;
    this.view = 0;
    for (const dispose of this.#hooks) dispose();
    this.#hooks = [];
  }

  /** The machine handles one event at a time on one thread, so whoever calls this finds the vCPU at a boundary. */
  kick(): void {
    this.#events?.boundary();
  }

  hold(): void {
    this.#held ??= this.#desc.handle.hold();
    this.#stepper.postpone();
  }

  release(): void {
    this.#stepper.resume();
    this.#held?.();
    this.#held = null;
  }

  /** The vCPU has left the guest because of a hook here. */
  onExit(exit: VcpuExit): boolean {
    if (exit.reason !== "intercepted") return false;
    this.#undone.left();
    return true;
  }

  // State

  mode(): number {
    return addressWidth(this.#cpu);
  }
  rip(): bigint {
    return u64(this.#cpu.ripLo, this.#cpu.ripHi);
  }
  cr3(): bigint {
    return u64(this.#cpu.paging.cr3Lo, this.#cpu.paging.cr3Hi);
  }
  saveRegs(to: DataView, at: number): void {
    saveRegs(this.#cpu, to, at);
  }
  loadRegs(from: DataView, at: number): void {
    this.#undone.forget();
    loadRegs(this.#cpu, from, at);
  }
  saveSregs(to: DataView, at: number): void {
    saveSregs(this.#cpu, to, at);
  }
  saveMsr(index: number, to: DataView, at: number): boolean {
    const value = { lo: 0, hi: 0 };
    if (!readMsr(this.#cpu, index, value)) return false;
    to.setInt32(at, value.lo, true);
    to.setInt32(at + 4, value.hi, true);
    return true;
  }
  saveCpuid(leaf: number, subleaf: number, to: DataView, at: number): boolean {
    const { eax, ebx, ecx, edx } = this.#cpu.ports.cpuid.query(leaf, subleaf);
    const most = this.#cpu.ports.cpuid.query(leaf & 0x80000000, 0).eax >>> 0;
    if (leaf > most) return false;
    [eax, ebx, ecx, edx].forEach((value, k) => void to.setInt32(at + 4 * k, value, true));
    return true;
  }
  saveXsave(to: Uint8Array): void {
    saveXsave(this.#cpu, to);
  }
  loadXsave(from: Uint8Array): boolean {
    return loadXsave(this.#cpu, from);
  }
  xcr0(): bigint {
    return u64(this.#cpu.xcr0, 0);
  }
  mtrrType(): number {
    return WRITE_BACK;
  }

  translate(gva: bigint): number | null {
    const cpu = this.#cpu;
    const [lo, hi] = halvesOf(gva);
    if (cpu.mode === 64 && !canonical(cpu, hi)) return null;
    return this.#desc.memory.gvaToGpa(cpu.paging, lo, hi);
  }

  // What is asked for

  intercept(what: Interception, on: boolean): Status {
    this.#interceptions.control(what, on);
    return 0;
  }
  controlCr(cr: 0 | 3 | 4, on: boolean): void {
    this.#interceptions.controlCr(cr, on);
  }
  controlMsr(msr: number, on: boolean): void {
    this.#interceptions.controlMsr(msr, on);
  }
  watchCode(gva: bigint, on: boolean): Status {
    return this.#interceptions.watchCode(gva, on);
  }
  unwatchCode(): void {
    this.#interceptions.unwatchCode();
  }

  singlestep(on: boolean): void {
    this.#singlestep = on;
    this.#cpu.singleStep = on || this.#stepper.active;
  }

  pendingException(): Exception | null {
    if (this.#undone.decided("breakpoint")) return { nr: BP, errorCode: 0, address: 0n };
    const { pending } = this.#cpu;
    if (pending === null) return null;
    const address = u64(pending.cr2Lo ?? 0, pending.cr2Hi ?? 0);
    return { nr: pending.vector, errorCode: pending.errorCode ?? 0, address };
  }

  inject({ nr, errorCode, address }: Exception): void {
    const cpu = this.#cpu;
    if (nr === PF) [cpu.cr2Lo, cpu.cr2Hi] = halvesOf(address);
    this.#undone.forget();
    if (cpu.activity === "hlt") cpu.activity = "active";
    cpu.inject(nr, WITH_ERROR_CODE.has(nr) ? errorCode : null);
  }

  // What happens

  #stepped(): void {
    this.#stepper.retired();
    this.#cpu.singleStep = this.#singlestep || this.#stepper.active;
    if (this.#singlestep && this.#events?.stepped(false) === true) this.#cpu.kick();
  }

  #pageAccess(gfn: Gfn, access: number, gva: bigint): boolean {
    if (!this.#desc.pages(this.view).restricts(gfn, access)) return false;
    this.#stepper.interrupted();
    const gpa = gfn * 4096 + Number(gva & 0xfffn);
    return this.#undone.leave("pf", () => {
      const here = this.#undone.here();
      const done = (verdict: PageVerdict): void => {
        if (verdict.action === "retry" || !here()) this.#stepper.forget();
        else this.#stepper.allow(gfn, verdict.context, verdict.repComplete);
      };
      if (this.#events?.pageFault(gva, gpa, access, done) !== true) done(UNSEEN);
    });
  }
}
