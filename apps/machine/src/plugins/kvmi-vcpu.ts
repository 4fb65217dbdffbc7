import {
  Access,
  loadXsave,
  readMsr,
  saveXsave,
  Status as Translated,
  type Vcpu,
  writeControlRegister,
  writeMsr,
} from "@vm/cpu";
import type { Exception, Interception, PageVerdict, Status, VcpuEvents, VcpuPort } from "@vm/kvmi";
import type { Mmu } from "@vm/mmu";
import type { Disposer } from "../emitter.js";
import type { VcpuExit } from "../exit.js";
import type { VcpuHandle } from "../plugin.js";
import type { RestrictedPages } from "./kvmi-pages.js";
import { addressWidth, loadRegs, saveRegs, saveSregs } from "./kvmi-registers.js";
import { Stepper, type StepTurns } from "./kvmi-stepper.js";

/** VMCALL of KVM_HC_XEN_HVM_OP with HVMOP_guest_request_vm_event: how a guest reaches its introspector. */
const HYPERCALL = 34;
const GUEST_REQUEST = 24;
/** Vectors that push an error code. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
const DESCRIPTORS = { idtr: 1, gdtr: 2, ldtr: 3, tr: 4 } as const;
/** IA32_PAT's kind of memory with no MTRRs offered: write-back for everything, as KVM has it. */
const WRITE_BACK = 6;
/** The TSC counts nanoseconds of virtual time. */
const TSC_HZ = 1e9;
const BP = 3;
const GP = 13;
const PF = 14;
/** Bit 63 of a value moved to CR3 asks to keep translations and is not stored. */
const CR3_NO_FLUSH = 1n << 63n;

/** What can leave an instruction undone. */
type Reason = Interception | "execute";

/** What to do when the instruction that was left undone comes again. */
interface Decision {
  readonly kind: Reason;
  readonly ripLo: number;
  readonly ripHi: number;
  /** CR, MSR: what is written instead; null: #GP. */
  readonly value?: bigint | null;
}

export interface KvmiVcpuDesc {
  readonly handle: VcpuHandle;
  readonly memory: Mmu;
  /** The restricted pages of a view. */
  readonly pages: (view: number) => RestrictedPages;
  readonly steps: StepTurns;
}

/**
 * One vCPU of the machine as introspection sees it.
 *
 * An intercepted instruction is left undone: its hook calls `leave`, and behind the exit, with registers in place, the event is
 * reported. The verdict becomes a decision that the hook finds when the instruction comes again, one instruction later at most:
 * interrupts are held off until then.
 */
export class KvmiVcpu implements VcpuPort {
  readonly tscHz = TSC_HZ;
  readonly #desc: KvmiVcpuDesc;
  readonly #cpu: Vcpu;
  readonly #stepper: Stepper;
  #events: VcpuEvents | null = null;
  #held: Disposer | null = null;
  #decision: Decision | null = null;
  /** Reports what made the vCPU leave; false: nobody wanted to know. */
  #left: (() => void) | null = null;
  /** The kind of the event that is open. */
  #reported: Reason | null = null;
  #singlestep = false;
  readonly #wanted = new Set<Interception>();
  readonly #crs = new Set<number>();
  readonly #msrs = new Set<number>();
  readonly #watchedCode = new Set<bigint>();
  readonly #hooks = new Map<Reason | "step", Disposer>();

  constructor(desc: KvmiVcpuDesc) {
    this.#desc = desc;
    this.#cpu = desc.handle.cpu;
    const { handle, memory, steps } = desc;
    const pages = (): RestrictedPages => desc.pages(this.view);
    this.#stepper = new Stepper({ handle, memory, steps, pages }, (gva) => this.translate(gva));
  }

  get initialized(): boolean {
    return !this.#cpu.waitForSipi;
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
      this.#decide(null);
      return;
    }
    const { handle } = this.#desc;
    // Restricted pages are watched whether the tool listens or not.
    this.#hook("pf", () => handle.on("pageAccess", (gfn, access, lo, hi) => this.#pageAccess(gfn, access, lo, hi)));
    this.#hook("step", () => handle.on("singleStep", () => this.#stepped()));
  }

  /** Ends all that watches this vCPU. */
  reset(): void {
    this.#stepper.finish();
    this.#stepper.forget();
    this.#left = null;
    this.#reported = null;
    this.#decide(null);
    this.#wanted.clear();
    this.#crs.clear();
    this.#msrs.clear();
    for (const gva of [...this.#watchedCode]) this.watchCode(gva, false);
    this.#singlestep = false;
    this.#cpu.singleStep = false;
    this.view = 0;
    for (const dispose of this.#hooks.values()) dispose();
    this.#hooks.clear();
  }

  /** The machine handles one event at a time on one thread, so whoever calls this finds the vCPU at a boundary. */
  kick(): void {
    this.#events?.boundary();
  }

  hold(): void {
    this.#held ??= this.#desc.handle.hold();
  }

  release(): void {
    this.#held?.();
    this.#held = null;
  }

  /** The vCPU has left the guest because of a hook here. */
  onExit(exit: VcpuExit): boolean {
    if (exit.reason !== "intercepted") return false;
    const left = this.#left;
    this.#left = null;
    left?.();
    return true;
  }

  // State

  mode(): number {
    return addressWidth(this.#cpu);
  }
  rip(): bigint {
    return halves(this.#cpu.ripLo, this.#cpu.ripHi);
  }
  cr3(): bigint {
    return halves(this.#cpu.paging.cr3Lo, this.#cpu.paging.cr3Hi);
  }
  saveRegs(to: DataView, at: number): void {
    saveRegs(this.#cpu, to, at);
  }
  loadRegs(from: DataView, at: number): void {
    this.#decision = null;
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
    return halves(this.#cpu.xcr0, 0);
  }
  mtrrType(): number {
    return WRITE_BACK;
  }

  translate(gva: bigint): number | null {
    const cpu = this.#cpu;
    const lo = Number(gva & 0xffffffffn) | 0;
    const hi = Number(gva >> 32n) | 0;
    if (cpu.mode === 64 && hi >> 15 !== hi >> 31) return null;
    const { memory } = this.#desc;
    const status = memory.translate(cpu.paging, lo, hi, Access.Ac);
    return status === Translated.Fault ? null : memory.translation.gfn * 4096 + (lo & 0xfff);
  }

  // What is asked for

  intercept(what: Interception, on: boolean): Status {
    if (!on) {
      // An event of that kind may be open: its hook stays for the instruction it was about.
      this.#wanted.delete(what);
      if (what !== "pf" && this.#reported !== what && this.#decision?.kind !== what) this.#unhook(what);
      return 0;
    }
    const { handle } = this.#desc;
    switch (what) {
      case "breakpoint":
        this.#hook(what, () => handle.on("breakpoint", () => this.#breakpoint()));
        break;
      case "descriptor":
        this.#hook(what, () => handle.on("descriptorTable", (table, write) => this.#descriptor(table, write)));
        break;
      case "cpuid":
        this.#hook(what, () => handle.on("cpuid", (leaf, subleaf) => this.#cpuid(leaf, subleaf)));
        break;
      case "cr":
        this.#hook(what, () => handle.on("controlRegister", (cr, lo, hi) => this.#controlRegister(cr, lo, hi)));
        break;
      case "msr":
        this.#hook(what, () => handle.on("msrWrite", (msr, lo, hi) => this.#msrWrite(msr, lo, hi)));
        break;
      case "xsetbv":
        this.#hook(what, () => handle.on("extendedControl", (lo, hi) => this.#xsetbv(lo, hi)));
        break;
      case "hypercall":
        this.#hook(what, () => handle.on("hypercall", () => this.#hypercall()));
        break;
      case "pf":
        break;
    }
    this.#wanted.add(what);
    return 0;
  }

  controlCr(cr: 0 | 3 | 4, on: boolean): void {
    if (on) this.#crs.add(cr);
    else this.#crs.delete(cr);
  }

  controlMsr(msr: number, on: boolean): void {
    if (on) this.#msrs.add(msr);
    else this.#msrs.delete(msr);
  }

  watchCode(gva: bigint, on: boolean): void {
    if (on) this.#watchedCode.add(gva);
    else this.#watchedCode.delete(gva);
    this.#cpu.watchCode(...split(gva), on);
    if (this.#watchedCode.size > 0) this.#hook("execute", () => this.#desc.handle.on("execute", () => this.#execute()));
    else this.#unhook("execute");
  }

  singlestep(on: boolean): void {
    this.#singlestep = on;
    this.#cpu.singleStep = on || this.#stepper.active;
  }

  pendingException(): Exception | null {
    if (this.#decision?.kind === "breakpoint") return { nr: BP, errorCode: 0, address: 0n };
    const { pending } = this.#cpu;
    if (pending === null) return null;
    const address = halves(pending.cr2Lo ?? 0, pending.cr2Hi ?? 0);
    return { nr: pending.vector, errorCode: pending.errorCode ?? 0, address };
  }

  inject({ nr, errorCode, address }: Exception): void {
    const cpu = this.#cpu;
    if (nr === PF) {
      cpu.cr2Lo = Number(address & 0xffffffffn) | 0;
      cpu.cr2Hi = Number(address >> 32n) | 0;
    }
    this.#decide(null);
    cpu.halted = false;
    cpu.inject(nr, WITH_ERROR_CODE.has(nr) ? errorCode : null);
  }

  // Hooks

  #hook(name: Reason | "step", install: () => Disposer): void {
    if (!this.#hooks.has(name)) this.#hooks.set(name, install());
  }

  #unhook(name: Reason | "step"): void {
    this.#hooks.get(name)?.();
    this.#hooks.delete(name);
  }

  /** Leaves the instruction undone and has `report` called behind the exit. */
  #leave(kind: Reason, report: () => void): false {
    this.#reported = kind;
    this.#left = report;
    return this.#cpu.leave();
  }

  /** Whether this kind is still asked for; a hook that was left for an open event goes with it. */
  #wants(kind: Interception): boolean {
    if (this.#wanted.has(kind)) return true;
    this.#unhook(kind);
    return false;
  }

  /** Notes what to do when the instruction comes again. It is the next one: no interrupt comes before it. */
  #decide(decision: Omit<Decision, "ripLo" | "ripHi"> | null): void {
    this.#reported = null;
    const { ripLo, ripHi } = this.#cpu;
    this.#decision = decision === null ? null : { ...decision, ripLo, ripHi };
    if (decision !== null) this.#cpu.shadow = true;
  }

  /** The decision about the instruction that runs now, if there is one. */
  #take(kind: Reason): Decision | null {
    const decision = this.#decision;
    this.#decision = null;
    return decision?.kind === kind && this.#here(decision) ? decision : null;
  }

  /** Whether a decision is about the instruction at RIP. */
  #here({ ripLo, ripHi }: Decision): boolean {
    return ripLo === this.#cpu.ripLo && ripHi === this.#cpu.ripHi;
  }

  /** Reports an event whose verdict is no more than whether the instruction goes on. `moved`: the tool set RIP, so it does not. */
  #ask(kind: Reason, report: (done: (verdict: "continue" | "retry") => void) => boolean | undefined): void {
    const { ripLo, ripHi } = this.#cpu;
    const done = (verdict: "continue" | "retry"): void => {
      if (verdict === "continue" && this.#cpu.ripLo === ripLo && this.#cpu.ripHi === ripHi) this.#decide({ kind });
    };
    if (report(done) !== true) done("continue");
  }

  #breakpoint(): boolean {
    if (this.#take("breakpoint") !== null || !this.#wants("breakpoint")) return true;
    return this.#leave("breakpoint", () => {
      const { ripLo, ripHi } = this.#cpu;
      const gpa = this.translate(halves(ripLo, ripHi)) ?? 0;
      this.#ask("breakpoint", (done) => this.#events?.breakpoint(gpa, 1, done));
    });
  }

  /** A watched instruction is about to run. */
  #execute(): void {
    // If anything has been decided about it already, or a page is open for it, it has been reported.
    if (
      this.#stepper.active ||
      (this.#decision !== null && this.#decision.kind !== "execute" && this.#here(this.#decision))
    )
      return;
    if (this.#take("execute") !== null) return;
    this.#leave("execute", () => {
      const { ripLo, ripHi } = this.#cpu;
      const gpa = this.translate(halves(ripLo, ripHi)) ?? 0;
      this.#ask("execute", (done) => this.#events?.breakpoint(gpa, 0, done));
    });
  }

  #descriptor(table: keyof typeof DESCRIPTORS, write: boolean): void {
    if (this.#take("descriptor") !== null || !this.#wants("descriptor")) return;
    this.#leave("descriptor", () =>
      this.#ask("descriptor", (done) => this.#events?.descriptor(DESCRIPTORS[table], write, done)),
    );
  }

  #xsetbv(lo: number, hi: number): boolean {
    if (this.#take("xsetbv") !== null || !this.#wants("xsetbv")) return true;
    const old = this.xcr0();
    const value = halves(lo, hi);
    if (old === value) return true;
    return this.#leave("xsetbv", () => this.#ask("xsetbv", (done) => this.#events?.xsetbv(0, old, value, done)));
  }

  #cpuid(leaf: number, subleaf: number): void {
    if (this.#take("cpuid") !== null || !this.#wants("cpuid")) return;
    this.#leave("cpuid", () => this.#ask("cpuid", (done) => this.#events?.cpuid(leaf, subleaf, 2, done)));
  }

  /** Registers as KVM has them for this hypercall: 64-bit code uses RDI and RSI, other code EBX and ECX. Any other is the machine's to answer. */
  #hypercall(): boolean {
    const cpu = this.#cpu;
    const wide = cpu.mode === 64;
    const [number, operation, argument] = [cpu.regLo(0), cpu.regLo(wide ? 7 : 3), cpu.regLo(wide ? 6 : 1)];
    if (number !== HYPERCALL || operation !== GUEST_REQUEST || argument !== 0) return false;
    if (cpu.cpl !== 0) return false;
    if (this.#take("hypercall") !== null) {
      cpu.setReg(0, 0, 0);
      return true;
    }
    if (!this.#wants("hypercall")) return false;
    this.#leave("hypercall", () => {
      const { ripLo, ripHi } = cpu;
      this.#events?.hypercall(() => {
        if (cpu.ripLo === ripLo && cpu.ripHi === ripHi) this.#decide({ kind: "hypercall" });
      });
    });
    return true;
  }

  #controlRegister(cr: 0 | 3 | 4 | 8, lo: number, hi: number): boolean {
    if (cr === 8) return true;
    const cpu = this.#cpu;
    const decision = this.#take("cr");
    const value = cr === 3 ? halves(lo, hi) & ~CR3_NO_FLUSH : halves(lo, hi);
    if (decision !== null) return this.#write(decision, value, (a, b) => writeControlRegister(cpu, cr, a, b));
    if (!this.#wants("cr") || !this.#crs.has(cr)) return true;
    const old =
      cr === 0 ? halves(cpu.cr0, 0) : cr === 4 ? halves(cpu.cr4, 0) : halves(cpu.paging.cr3Lo, cpu.paging.cr3Hi);
    if (old === value) return true;
    return this.#leave("cr", () => this.#askValue("cr", value, (done) => this.#events?.cr(cr, old, value, done)));
  }

  #msrWrite(msr: number, lo: number, hi: number): boolean {
    const cpu = this.#cpu;
    const decision = this.#take("msr");
    const value = halves(lo, hi);
    if (decision !== null)
      return this.#write(decision, value, (a, b) => writeMsr(cpu, msr, a, b) || cpu.raiseError(GP, 0));
    if (!this.#wants("msr") || !this.#msrs.has(msr)) return true;
    const current = { lo: 0, hi: 0 };
    const old = readMsr(cpu, msr, current) ? halves(current.lo, current.hi) : 0n;
    if (old === value) return true;
    return this.#leave("msr", () => this.#askValue("msr", value, (done) => this.#events?.msr(msr, old, value, done)));
  }

  #askValue(
    kind: "cr" | "msr",
    own: bigint,
    report: (done: (value: bigint | null) => void) => boolean | undefined,
  ): void {
    const { ripLo, ripHi } = this.#cpu;
    const done = (value: bigint | null): void => {
      if (this.#cpu.ripLo === ripLo && this.#cpu.ripHi === ripHi) this.#decide({ kind, value });
    };
    if (report(done) !== true) done(own);
  }

  /** Does what was decided. True: the instruction goes on with its own value. */
  #write({ value }: Decision, own: bigint, write: (lo: number, hi: number) => boolean): boolean {
    if (value === own) return true;
    if (value === null || value === undefined) return this.#cpu.raiseError(GP, 0);
    write(Number(value & 0xffffffffn) | 0, Number(value >> 32n) | 0);
    return false;
  }

  #stepped(): void {
    this.#stepper.retired();
    this.#cpu.singleStep = this.#singlestep || this.#stepper.active;
    if (this.#singlestep && this.#events?.stepped(false) === true) this.#cpu.kick();
  }

  #pageAccess(gfn: number, access: number, lo: number, hi: number): boolean {
    if (!this.#desc.pages(this.view).restricts(gfn, access)) return false;
    this.#stepper.interrupted();
    const gpa = gfn * 4096 + (lo & 0xfff);
    const gva = halves(lo, hi);
    return this.#leave("pf", () => {
      const { ripLo, ripHi } = this.#cpu;
      const done = (verdict: PageVerdict): void => {
        const moved = this.#cpu.ripLo !== ripLo || this.#cpu.ripHi !== ripHi;
        if (verdict.action === "retry" || moved) this.#stepper.forget();
        else this.#stepper.allow(gfn, verdict.context, verdict.repComplete);
      };
      const unseen: PageVerdict = { action: "continue", context: null, repComplete: false };
      if (this.#events?.pageFault(gva, gpa, access, done) !== true) done(unseen);
    });
  }
}

const split = (value: bigint): [lo: number, hi: number] => [
  Number(value & 0xffffffffn) | 0,
  Number((value >> 32n) & 0xffffffffn) | 0,
];
const halves = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
