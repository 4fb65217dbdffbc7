/** A process with one TD over a guest_memfd: KVM's flow, its page tables, and the module behind them. */
import { type Deadlock, Lockdep, type Report, type Stack, Task } from "@vm/lockdep";
import {
  createRegion,
  deleteRegion,
  ExitFlag,
  type ExternalPageTable,
  GmemFlag,
  GuestMemfd,
  Licence,
  MemoryAttribute,
  Mmu,
  type Pfn,
  populate,
  Status,
  setMemoryAttributes,
  setMemoryAttributes2,
  type Vm,
} from "@vm/mmu";
import { type FaultResult, KvmTdx, type Tdh, type TdPlatform, TdState, TdxCmdId, type VcpuTdx } from "@vm/tdx";
import { ExploreCpu } from "./guest-cpu.js";
import { FRAMES, PAGE, type Platform } from "./platform.js";
import type { Choose, Scheduler } from "./scheduler.js";

/** Pages of the guest_memfd and of the memslot. */
export const PAGES = 4;
export const FIRST_GFN = 0x100;
const SHARED_GFN = 2 ** 47 / PAGE;
const NOWHERE: Stack = { site: "somewhere", frames: [] };
const CPUID = [{ function: 0x8000_0008, index: 0, eax: 48 << 16, ebx: 0, ecx: 0, edx: 0 }];

/** What can be left out, to see whether it is missed. */
export interface Faults {
  readonly noKick?: boolean;
  readonly skip?: Tdh;
  readonly noUnmap?: boolean;
  /** Ioctls on the state of the TD take no vCPU's mutex. */
  readonly noVcpuLocks?: boolean;
}

export interface Kind {
  /** Pages are converted where they are; else by attributes of the VM, with shared memory in the process. */
  readonly inPlace: boolean;
  readonly vcpus: number;
}

/** A vCPU with what it does. */
export interface Vcpu {
  readonly kvm: VcpuTdx;
  readonly cpu: ExploreCpu;
  /** It is in the guest, as another processor would see it: ends that. */
  leave: (() => void) | null;
}

export class TdHost {
  readonly lockdep: Lockdep;
  readonly problems: string[] = [];
  readonly mmu: Mmu;
  /** The VM, less what is left out. */
  readonly vm: Vm;
  readonly gmem: GuestMemfd;
  readonly kvm: KvmTdx;
  readonly vcpus: Vcpu[] = [];
  /** Where the process sees shared memory. */
  userAddr = 0;
  kicks = 0;
  readonly #cpus = new Map<number, ExploreCpu>();
  #tasks = 0;

  constructor(
    readonly platform: Platform,
    readonly kind: Kind,
    readonly faults: Faults,
    readonly scheduler: Scheduler,
    readonly choose: Choose,
  ) {
    platform.bytes.fill(0);
    platform.calls.faults = faults.skip === undefined ? {} : { skip: faults.skip };
    platform.createGuestCpu = (vcpu) => {
      const cpu = new ExploreCpu(vcpu, platform);
      this.#cpus.set(vcpu.tdvpr, cpu);
      return cpu;
    };
    const tell = ({ text }: Report | Deadlock): void => void this.problems.push(text);
    const { beforeAcquire } = scheduler;
    this.lockdep = new Lockdep({ onReport: tell, onDeadlock: tell, beforeAcquire, captureStack: () => NOWHERE });
    this.mmu = new Mmu({
      ...{ memory: platform.memory, arenaStart: PAGE, arenaEnd: (1 + FRAMES) * PAGE, maxPhyAddr: 48 },
      privateMemory: { external: this.#external(), sharedFrom: SHARED_GFN },
      kvm: { vmMemoryAttributes: !kind.inPlace },
      lockdep: this.lockdep,
    });
    this.vm = Object.create(this.mmu.vm, { target: { value: this.#target() } });
    this.gmem = GuestMemfd.create(this.vm, {
      size: PAGES * PAGE,
      flags: kind.inPlace ? GmemFlag.Mmap | GmemFlag.InitShared : 0,
    });
    this.kvm = this.#newTd();
  }

  #external(): ExternalPageTable {
    return {
      linkSpt: (gfn, level) => this.kvm.sept.linkSpt(gfn, level),
      setSpte: (gfn, level, pfn) => this.kvm.sept.setSpte(gfn, level, pfn),
      removeSpte: (gfn, level, pfn) => this.kvm.sept.removeSpte(gfn, level, pfn),
      freeSpt: () => this.kvm.sept.freeSpt(),
    };
  }

  /** The page tables, maybe with something left out. */
  #target(): Vm["target"] {
    const { target } = this.mmu.vm;
    if (!this.faults.noUnmap) return target;
    return {
      invalidateBegin: (task) => target.invalidateBegin(task),
      invalidateRangeAdd: (task, start, end) => target.invalidateRangeAdd(task, start, end),
      unmapGfnRange: () => false,
      flushRemoteTlbs: () => target.flushRemoteTlbs(),
      invalidateEnd: (task) => target.invalidateEnd(task),
      mapPrivatePfn: (task, gfn, pfn, signal) => target.mapPrivatePfn(task, gfn, pfn, signal),
    };
  }

  #newTd(): KvmTdx {
    const { platform, vm, mmu, scheduler } = this;
    const { arena } = mmu.vm.slots;
    const pages = {
      alloc: (): number | null => {
        if (arena.available === 0) return null;
        arena.reserve(1);
        return arena.take() * PAGE;
      },
      free: (hpa: number): void => {
        arena.give((hpa / PAGE) as Pfn);
        arena.unreserve(1);
      },
    };
    const memory = { page: (hpa: number): Uint8Array => platform.bytes.subarray(hpa, hpa + PAGE) };
    const { locks } = vm;
    if (this.faults.noVcpuLocks) locks.withAllVcpus = async (_task, body) => await body();
    return new KvmTdx({
      ...{ host: platform.host({ lockdep: this.lockdep, pages, memory }), locks },
      memory: {
        populate: (task, what) => populate(task, vm, what),
        mapPrivatePfn: async (task, gfn, pfn, signal) => {
          await scheduler.stop(task);
          await vm.target.mapPrivatePfn(task, gfn, pfn as Pfn, signal);
          await scheduler.stop(task);
        },
      },
      kicks: { kickAll: () => this.#kickAll() },
      platform: this.#board(),
      ...{ tscKhz: 1e6, inPlaceConversion: this.kind.inPlace },
    });
  }

  #kickAll(): void {
    this.kicks++;
    if (this.faults.noKick) return;
    for (const vcpu of this.vcpus) {
      vcpu.leave?.();
      vcpu.leave = null;
    }
  }

  #board(): TdPlatform {
    const nothing = (): never => {
      throw new Error("the guest has no devices");
    };
    return {
      ...{ io: nothing, mmio: nothing, rdmsr: nothing, wrmsr: nothing, cpuid: nothing },
      mapGpaRange: async (vcpu, gpa, size, toPrivate) => {
        const task = this.newTask(`vmm of vCPU ${vcpu}`);
        try {
          await this.convert(task, gpa / PAGE - FIRST_GFN, size / PAGE, toPrivate);
          return "done";
        } catch (error) {
          if (!(error instanceof Error) || !("code" in error)) throw error;
          return error.code === "EAGAIN" ? "EAGAIN" : "EINVAL";
        }
      },
      faultIn: (task, _vcpu, gpa, isPrivate) => this.#faultIn(task, gpa / PAGE + (isPrivate ? 0 : SHARED_GFN)),
      hasEvents: () => false,
    };
  }

  /** Whether a vCPU tries without waiting first is left to chance. */
  #faultIn(task: Task, gfn: number): FaultResult | Promise<FaultResult> {
    if (this.choose(2) === 0) return this.#waitFor(task, gfn);
    const status = this.mmu.tryFaultIn(gfn, Licence.Write);
    const mustWait = status === Status.Exit && (this.mmu.translation.errorCode & ExitFlag.Retry) !== 0;
    return mustWait ? this.#waitFor(task, gfn) : resultOf(status);
  }

  async #waitFor(task: Task, gfn: number): Promise<FaultResult> {
    await this.scheduler.stop(task);
    const status = await this.mmu.faultIn(task, gfn, Licence.Write);
    // What it met is said by the next try.
    return status === Status.Exit ? "retry" : resultOf(status);
  }

  /** The TD is initialized with its vCPUs; half of the memory is private, and may be populated. */
  async prepare({ populated, finalized }: { populated: boolean; finalized: boolean }): Promise<void> {
    const { kvm, mmu } = this;
    const task = this.newTask("setup");
    const { inPlace, vcpus } = this.kind;
    this.userAddr = await mmu.vm.mm.mmap(task, { length: PAGES * PAGE, ...(inPlace ? { file: this.gmem } : {}) });
    await this.createRegion(task);
    await this.convert(task, 0, PAGES / 2, true);
    await kvm.vmIoctl(task, {
      id: TdxCmdId.InitVm,
      data: { attributes: 1n << 28n, xfam: 3n, cpuid: { entries: CPUID } },
    });
    for (let id = 0; id < vcpus; id++) {
      const vcpu = await kvm.createVcpu(task, id);
      await kvm.vcpuIoctl(task, vcpu, { id: TdxCmdId.InitVcpu, data: 0n });
      this.vcpus.push({ kvm: vcpu, cpu: this.#cpus.get(vcpu.tdvpr ?? 0) as ExploreCpu, leave: null });
    }
    if (populated) await this.#populate(task, PAGES / 2);
    if (finalized) await kvm.vmIoctl(task, { id: TdxCmdId.FinalizeVm, data: null });
  }

  async #populate(task: Task, nrPages: number): Promise<void> {
    const { mm } = this.mmu.vm;
    const sourceAddr = await mm.mmap(task, { length: nrPages * PAGE });
    const data = { sourceAddr, gpa: FIRST_GFN * PAGE, nrPages };
    await this.kvm.vcpuIoctl(task, (this.vcpus[0] as Vcpu).kvm, { id: TdxCmdId.InitMemRegion, data });
    await mm.munmap(task, sourceAddr, nrPages * PAGE);
  }

  newTask(name: string): Task {
    return new Task(this.lockdep, `${this.#tasks++} ${name}`);
  }

  async createRegion(task: Task): Promise<void> {
    const { userAddr, gmem } = this;
    const region = { slot: 0, gpa: FIRST_GFN * PAGE, size: PAGES * PAGE, userAddr, gmem, offset: 0 };
    await createRegion(task, this.vm, this.mmu.vm.slots, region);
  }

  deleteRegion(task: Task): Promise<void> {
    return deleteRegion(task, this.vm, this.mmu.vm.slots, 0);
  }

  async convert(task: Task, first: number, count: number, toPrivate: boolean): Promise<void> {
    const attributes = toPrivate ? MemoryAttribute.Private : MemoryAttribute.None;
    const range = { size: count * PAGE, attributes };
    if (this.kind.inPlace) await setMemoryAttributes2(task, this.gmem, { offset: first * PAGE, ...range });
    else await setMemoryAttributes(task, this.vm, { address: (FIRST_GFN + first) * PAGE, ...range });
  }

  isPrivate(index: number): boolean {
    const { attributes } = this.kind.inPlace ? this.gmem.inode : this.vm;
    return attributes.at(this.kind.inPlace ? index : FIRST_GFN + index) === MemoryAttribute.Private;
  }

  get isFinal(): boolean {
    return this.kvm.state === TdState.Runnable;
  }

  /** The TD as the module has it; undefined once it is gone. */
  get td() {
    return this.platform.module.state.tds.get(this.kvm.tdr ?? 0);
  }
}

const resultOf = (status: Status): FaultResult =>
  status === Status.Ok ? "fixed" : status === Status.Mmio ? "mmio" : "memory-fault";
