import { kvmRegs, kvmSregs } from "../src/codec/wire.js";
import type { Exception, Interception, Status, VcpuEvents, VcpuPort, ViewsPort, VmPort } from "../src/index.js";

/** A vCPU that is nothing but its registers. It is "in the guest" unless held; a kick brings it to a boundary at once. */
export class FakeVcpu implements VcpuPort {
  initialized = true;
  tscHz = 1e9;
  view = 0;
  rip(): bigint {
    return kvmRegs.decode(this.regs).rip;
  }
  cr3(): bigint {
    return kvmSregs.decode(this.sregs).cr3;
  }
  events: VcpuEvents | null = null;
  held = false;
  /** While true a kick waits: the guest is in the middle of an instruction. */
  busy = false;
  kicked = false;
  readonly regs = new Uint8Array(kvmRegs.size);
  readonly sregs = new Uint8Array(kvmSregs.size);
  readonly msrs = new Map<number, bigint>([[0x174, 0x10n]]);
  readonly xsave = new Uint8Array(4096);
  readonly intercepted = new Set<Interception>();
  readonly crs = new Set<number>();
  readonly controlledMsrs = new Set<number>();
  stepping = false;
  readonly watched = new Set<bigint>();
  /** More are ENOMEM. */
  mostWatched = Number.POSITIVE_INFINITY;
  pending: Exception | null = null;
  readonly injected: Exception[] = [];
  /** Answer to the next `intercept`. */
  status: Status = 0;

  connect(events: VcpuEvents | null): void {
    this.events = events;
  }
  kick(): void {
    if (this.busy) this.kicked = true;
    else this.events?.boundary();
  }
  /** The instruction is over. */
  arrive(): void {
    this.busy = false;
    if (this.kicked) this.events?.boundary();
    this.kicked = false;
  }
  hold(): void {
    this.held = true;
  }
  release(): void {
    this.held = false;
  }
  mode(): number {
    return 8;
  }
  saveRegs(to: DataView, at: number): void {
    new Uint8Array(to.buffer, to.byteOffset).set(this.regs, at);
  }
  loadRegs(from: DataView, at: number): void {
    this.regs.set(new Uint8Array(from.buffer, from.byteOffset + at, kvmRegs.size));
  }
  saveSregs(to: DataView, at: number): void {
    new Uint8Array(to.buffer, to.byteOffset).set(this.sregs, at);
  }
  saveMsr(index: number, to: DataView, at: number): boolean {
    const value = this.msrs.get(index);
    if (value === undefined) return false;
    to.setBigUint64(at, value, true);
    return true;
  }
  saveCpuid(leaf: number, subleaf: number, to: DataView, at: number): boolean {
    if (leaf > 0x20) return false;
    [leaf, subleaf, 3, 4].forEach((value, k) => void to.setUint32(at + 4 * k, value, true));
    return true;
  }
  saveXsave(to: Uint8Array): void {
    to.set(this.xsave);
  }
  loadXsave(from: Uint8Array): boolean {
    if (from[0] === 0xff) return false;
    this.xsave.set(from);
    return true;
  }
  xcr0(): bigint {
    return 3n;
  }
  mtrrType(): number {
    return 6;
  }
  translate(gva: bigint): number | null {
    return gva < 0x10000n ? Number(gva) + 0x1000 : null;
  }
  intercept(what: Interception, on: boolean): Status {
    if (this.status !== 0) return this.status;
    if (on) this.intercepted.add(what);
    else this.intercepted.delete(what);
    return 0;
  }
  controlCr(cr: 0 | 3 | 4, on: boolean): void {
    if (on) this.crs.add(cr);
    else this.crs.delete(cr);
  }
  controlMsr(msr: number, on: boolean): void {
    if (on) this.controlledMsrs.add(msr);
    else this.controlledMsrs.delete(msr);
  }
  watchCode(gva: bigint, on: boolean): Status {
    if (on && this.watched.size >= this.mostWatched) return 12;
    if (on) this.watched.add(gva);
    else this.watched.delete(gva);
    return 0;
  }
  unwatchCode(): void {
    this.watched.clear();
  }
  singlestep(on: boolean): void {
    this.stepping = on;
  }
  pendingException(): Exception | null {
    return this.pending;
  }
  inject(exception: Exception): void {
    this.injected.push(exception);
  }
}

/** Four pages of memory at 0 and what introspection did to them. */
export class FakeVm implements VmPort {
  readonly vcpus: FakeVcpu[];
  readonly memory = new Uint8Array(4 * 4096);
  features = { singlestep: true, xsave: true };
  readonly access = new Map<string, number>();
  /** More pages are ENOMEM. */
  mostRestricted = Number.POSITIVE_INFINITY;
  readonly allocated = new Set<number>();
  readonly #views = new Set<number>();
  readonly remapped = new Map<string, number>();
  crashed = false;
  resets = 0;
  views: ViewsPort | null = {
    create: () => {
      const view = this.#views.size + 1;
      this.#views.add(view);
      return view;
    },
    destroy: (view) => this.#views.delete(view),
    exists: (view) => this.#views.has(view),
    changeGfn: (view, gfn, target) => {
      if (gfn >= 4 || target >= 4) return 22;
      if (gfn === target) this.remapped.delete(`${view}:${gfn}`);
      else this.remapped.set(`${view}:${gfn}`, target);
      return 0;
    },
  };

  constructor(vcpus = 1) {
    this.vcpus = Array.from({ length: vcpus }, () => new FakeVcpu());
  }
  get cpu(): FakeVcpu {
    return this.vcpus[0] as FakeVcpu;
  }
  maxGfn(): number {
    return 4;
  }
  readPhysical(gpa: number, out: Uint8Array): boolean {
    if (gpa + out.length > this.memory.length) return false;
    out.set(this.memory.subarray(gpa, gpa + out.length));
    return true;
  }
  writePhysical(gpa: number, data: Uint8Array): boolean {
    if (gpa + data.length > this.memory.length) return false;
    this.memory.set(data, gpa);
    return true;
  }
  setPageAccess(view: number, gfn: number, access: number): Status {
    if (access === 7) this.access.delete(`${view}:${gfn}`);
    else if (this.access.size >= this.mostRestricted) return 12;
    else this.access.set(`${view}:${gfn}`, access);
    return 0;
  }
  allocGfn(gfn: number): Status {
    if (gfn < 4 || this.allocated.has(gfn)) return 22;
    this.allocated.add(gfn);
    return 0;
  }
  freeGfn(gfn: number): Status {
    return this.allocated.delete(gfn) ? 0 : 22;
  }
  nextAvailableGfn(): number {
    return 4 + this.allocated.size;
  }
  reset(): void {
    this.resets++;
    this.access.clear();
    this.remapped.clear();
    this.allocated.clear();
    this.#views.clear();
    for (const vcpu of this.vcpus) vcpu.view = 0;
  }
  crash(): void {
    this.crashed = true;
  }
}
