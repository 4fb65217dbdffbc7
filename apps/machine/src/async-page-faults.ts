import {
  AsyncPfEnable,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  offeredFeatures,
  type VcpuAsyncPf,
  VmAsyncPf,
  type VmAsyncPfState,
} from "@vm/async-pf";
import { type Exit, halvesOf, u64, type Vcpu, type VcpuState } from "@vm/cpu";
import { type LocalApic, read, type Turns, within } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import type { MemoryRange } from "./board/additions.js";
import type { Board } from "./board/board.js";
import type { ClockMode } from "./clock.js";
import { MAX_CPUS } from "./layout.js";
import type { RunLoop } from "./run-loop.js";

/** CPUID's leaf of KVM's paravirtual features. */
const KVM_FEATURES = 0x40000001;
const PAGE_FAULT = 14;
const FLAG_IF = 1 << 9;
const CR0_PG = 0x8000_0000;
/** What MSR_KVM_ASYNC_PF_EN refuses: bits 5:4, which are reserved, and what CPUID does not offer, as there are no guests of guests. */
const REFUSED = 0x30 | AsyncPfEnable.DeliveryAsPfVmexit;
const ACTIVE = AsyncPfEnable.Enabled | AsyncPfEnable.DeliveryAsInt;
/** Bytes of an area that the host reaches: flags and token. */
const AREA = 8;

export interface AsyncPageFaultsDesc {
  readonly board: Pick<Board, "vcpus" | "apics" | "mmu" | "additions">;
  /** With `icount` every miss is waited for: counted time must not depend on when memory comes. */
  readonly clock: ClockMode;
  /** When the guest is told of memory that has come: not while it stands still. */
  readonly turns: Pick<Turns, "later">;
  readonly loop: () => Pick<RunLoop, "attend" | "hold">;
  /** Memory cannot be had. */
  readonly onLost: (error: unknown) => void;
}

/** A processor, and what the guest is to notice of memory that it misses. */
interface Processor {
  readonly vcpu: Vcpu;
  readonly apf: VcpuAsyncPf;
  readonly apic: LocalApic;
  /** It is halted because of a miss, and not by the guest: its instruction is begun anew. */
  halted: boolean;
  /** Tokens could be told when it ran last. */
  reachable: boolean;
}

/**
 * KVM's asynchronous page faults in a machine whose memory is still arriving: a program that touches what is not there sleeps, and its processor does something else;
 * where that cannot be told to the guest, the processor halts, and takes interrupts. What is asked of it is in `@vm/async-pf`.
 */
export class AsyncPageFaults {
  readonly #desc: AsyncPageFaultsDesc;
  readonly #vm: VmAsyncPf;
  readonly #processors: readonly Processor[];
  /** The memory whose arrivals are heard. */
  #heard: Mmu["residency"] = null;
  /** Frames that were asked for and have not come. */
  readonly #awaited = new Set<number>();
  /** What has come, and nobody has been told of. */
  #arrivals: { readonly first: number; readonly pages: number }[] = [];

  constructor(desc: AsyncPageFaultsDesc) {
    this.#desc = desc;
    this.#vm = new VmAsyncPf({
      features: offeredFeatures({ lapic: true, lazy: true }),
      residency: { fetch: (gfn) => this.#fetch(gfn), report: ({ cause }) => desc.onLost(cause) },
    });
    const { vcpus, apics, mmu: memory, additions } = desc.board;
    const words = {
      read: (gpa: number) => memory.backed(gpa, 4) && memory.readU32(gpa),
      write: (gpa: number, value: number) => memory.writeU32(gpa, value),
    };
    this.#processors = vcpus.map((vcpu, k) => {
      const apic = apics[k] as LocalApic;
      const lapic = { enabled: () => apic.acceptsFixed, raise: (vector: number) => raise(apic, vector) };
      const apf = this.#vm.addVcpu(vcpu.id, { processor: processorPort(vcpu), lapic, words });
      return { vcpu, apf, apic, halted: false, reachable: false };
    });
    additions.cpuidBits(KVM_FEATURES, { eax: this.#vm.features });
    for (const msr of [MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT, MSR_KVM_ASYNC_PF_ACK])
      additions.msr(msr, {
        read: ({ id }) => {
          const { apf } = this.#of(id);
          const lo = apf.readMsr(msr);
          return lo < 0 ? null : u64(lo, apf.hi);
        },
        write: ({ id }, value) => this.#of(id).apf.writeMsr(msr, ...halvesOf(value)),
        ...(msr === MSR_KVM_ASYNC_PF_EN ? { reaches: (_, value) => reachOf(...halvesOf(value)) } : {}),
      });
  }

  /**
   * A processor cannot have memory at once.
   * @returns true: it goes on, or is halted; false: it has to stand until the memory has come
   */
  miss(vcpu: Vcpu, gfn: number): boolean {
    const processor = this.#of(vcpu.id);
    const isLate = this.#memory.residency?.has(gfn) === false;
    if (!isLate || this.#desc.clock === "icount" || processor.apf.state !== "running") return false;
    const decision = processor.apf.miss(gfn);
    if (decision === "halt") {
      processor.halted = true;
      vcpu.halt();
      this.#settle();
    }
    return decision !== "wait";
  }

  /** A processor gets INIT (`kvm_vcpu_reset`): it is told nothing any more, and what it was told of is not outstanding. */
  init(vcpu: Vcpu): void {
    const processor = this.#of(vcpu.id);
    processor.apf.reset();
    processor.halted = false;
    processor.reachable = false;
  }

  /** Memory was asked for, and has not come: time is not to be hurried meanwhile. */
  get awaits(): boolean {
    return this.#awaited.size > 0;
  }

  /** Gives a processor its turn. */
  run(vcpu: Vcpu, budget: number): Exit {
    this.#tell();
    const processor = this.#of(vcpu.id);
    if (processor.halted) {
      processor.halted = false;
      processor.apf.wake();
    }
    const reachable = processor.apic.acceptsFixed && (vcpu.cr0 & CR0_PG) !== 0;
    if (reachable && !processor.reachable) processor.apf.rescan();
    processor.reachable = reachable;
    return vcpu.run(budget);
  }

  /**
   * What the guest has set up. Neither memory that it waits for nor what has come and it has not been told of is part of it: a machine that goes on from here wakes
   * every task that sleeps ({@link restore}), which finds its memory or misses it again. So a machine that is to be saved waits for nothing that was asked for, and what
   * comes while it stands still, as all does when a snapshot is taken, waits for it to go on: it has no trace of the snapshot, and the snapshot none of that.
   */
  save(): VmAsyncPfState {
    return this.#vm.save();
  }

  /** A processor for a snapshot. One that is halted because of a miss runs there: it begins its instruction anew. */
  saveVcpu(vcpu: Vcpu): VcpuState {
    const state = vcpu.save();
    return this.#of(vcpu.id).halted ? { ...state, activity: "active" } : state;
  }

  /** Once memory, processors and local APICs are what they were, and the areas are here: see {@link areasOf}. @throws {AsyncPfError} `state` */
  restore(state: unknown): void {
    this.#vm.restore(state);
  }

  get #memory(): Mmu {
    return this.#desc.board.mmu;
  }

  #of(id: number): Processor {
    return this.#processors[id] as Processor;
  }

  #fetch(gfn: number): void {
    const { residency } = this.#memory;
    if (residency === null || residency.has(gfn)) {
      this.#vm.arrived(gfn, 1);
      return;
    }
    if (this.#heard !== residency) {
      this.#heard = residency;
      residency.onArrival((first, pages) => this.#arrived(first, pages));
    }
    this.#awaited.add(gfn);
    residency.ensure(gfn, 1).catch((error: unknown) => {
      this.#awaited.delete(gfn);
      this.#vm.failed(gfn, error);
    });
  }

  /** Called at any time: in the midst of an instruction for what a source had at once, and while the machine is paused. */
  #arrived(first: number, pages: number): void {
    let isAwaited = false;
    for (let gfn = first; gfn < first + pages; gfn++) if (this.#awaited.delete(gfn)) isAwaited = true;
    if (!isAwaited) return;
    this.#arrivals.push({ first, pages });
    this.#desc.turns.later(() => this.#tell());
  }

  /** The guest goes on: it is told of what has come. */
  #tell(): void {
    if (this.#arrivals.length === 0) return;
    for (const { first, pages } of this.#arrivals.splice(0)) this.#vm.arrived(first, pages);
    this.#settle();
  }

  /** Processors whose memory has come go on. */
  #settle(): void {
    for (const processor of this.#processors) {
      const { vcpu, apf } = processor;
      if (!processor.halted || apf.state !== "running") continue;
      processor.halted = false;
      if (vcpu.activity === "hlt") vcpu.activity = "active";
      this.#desc.loop().attend(vcpu);
    }
  }
}

/** Where the areas of a saved machine lie, in bytes of guest-physical memory: what {@link AsyncPageFaults.restore} needs. @throws {StateError} */
export function areasOf(state: unknown): readonly number[] {
  const { vcpus } = within("asyncPf", () => readAreas(state)) ?? { vcpus: [] };
  return vcpus.flatMap(({ enable: [lo = 0, hi = 0] }) => areaOf(lo, hi) ?? []);
}

/** Of a state, to which nothing has been asked yet but where the areas are. */
const readAreas = read.nullOr(
  read.record({
    vcpus: read.list(
      read.record({
        enable: read.list(read.u32, 2),
        ...{ id: read.u16, vector: read.u8, nextId: read.u32, pageReadyPending: read.flag },
      }),
      0,
      MAX_CPUS,
    ),
  }),
);

/** Where a value of MSR_KVM_ASYNC_PF_EN has its area; null if it switches off, or is refused. */
function areaOf(lo: number, hi: number): number | null {
  return (lo & (ACTIVE | REFUSED)) === ACTIVE ? (hi >>> 0) * 2 ** 32 + ((lo & ~63) >>> 0) : null;
}

/** The area has to be here before it is used, and the guest cannot be asked to wait for it by the means that are set up there. */
function reachOf(lo: number, hi: number): MemoryRange | null {
  const gpa = areaOf(lo, hi);
  return gpa === null ? null : { gpa, size: AREA };
}

function raise(apic: LocalApic, vector: number): void {
  apic.accept({ destination: apic.id, logical: false, mode: 0, vector, level: false });
}

const processorPort = (vcpu: Vcpu) => ({
  cpl: () => vcpu.cpl,
  interruptsAllowed: () => (vcpu.flags & FLAG_IF) !== 0 && !vcpu.shadow,
  exceptionPending: () => vcpu.pending !== null,
  paging: () => (vcpu.cr0 & CR0_PG) !== 0,
  guestMode: () => false,
  protectedState: () => false,
  injectPageFault: (errorCode: number, cr2: number) => {
    vcpu.cr2Lo = cr2 | 0;
    vcpu.cr2Hi = 0;
    vcpu.inject(PAGE_FAULT, errorCode);
  },
});
