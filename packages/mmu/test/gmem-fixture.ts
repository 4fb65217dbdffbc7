import { Lockdep, type LockdepOptions, type Report, Task, throwReport } from "@vm/lockdep";
import { expect } from "vitest";
import { FrameArena, type Pfn } from "../src/arena.js";
import { AttributeMap } from "../src/gmem/attribute-map.js";
import { type CreateGuestMemfd, GuestMemfd } from "../src/gmem/guest-memfd.js";
import { Mm } from "../src/gmem/mm.js";
import { GmemPageSource } from "../src/gmem/page-source.js";
import { createRegion, type GmemRegion, type SlotEditor } from "../src/gmem/region.js";
import { UserMemoryNotifier } from "../src/gmem/user-notifier.js";
import type { Vm } from "../src/gmem/vm.js";
import { KvmError } from "../src/kvm/errors.js";
import { VmLocks } from "../src/kvm/locks.js";
import { type KvmParams, kvmParams } from "../src/kvm/params.js";
import type { BackedSlot, GfnRange, GfnRangeTarget } from "../src/kvm/ports.js";
import { newMemory } from "./fixture.js";

export const PAGE = 4096;
export const PAGES = 64;

/** Page tables as simple as can be: guest frame -> page, and what was asked of them. */
export class FakePageTables implements GfnRangeTarget {
  readonly mapped = new Map<number, Pfn>();
  readonly log: string[] = [];
  inProgress = 0;
  seq = 0;

  constructor(readonly vm: () => Vm) {}

  invalidateBegin(task: Task): void {
    this.vm().locks.mmuLock.assertHeldExclusive(task);
    this.inProgress++;
    this.log.push("begin");
  }

  invalidateRangeAdd(_task: Task, start: number, end: number): void {
    expect(this.inProgress).toBeGreaterThan(0);
    this.log.push(`add ${start}-${end}`);
  }

  unmapGfnRange(task: Task, { start, end, private: ofPrivate, shared }: GfnRange): boolean {
    this.vm().locks.mmuLock.assertHeldExclusive(task);
    this.log.push(`unmap ${start}-${end}${ofPrivate ? " private" : ""}${shared ? " shared" : ""}`);
    let any = false;
    for (let gfn = start; gfn < end; gfn++) any = this.mapped.delete(gfn) || any;
    return any;
  }

  flushRemoteTlbs(): void {
    this.log.push("flush");
  }

  invalidateEnd(task: Task): void {
    this.vm().locks.mmuLock.assertHeldExclusive(task);
    expect(this.inProgress).toBeGreaterThan(0);
    this.inProgress--;
    this.seq++;
    this.log.push("end");
  }

  async mapPrivatePfn(task: Task, gfn: number, pfn: Pfn): Promise<void> {
    const { slotsLock, mmuLock } = this.vm().locks;
    slotsLock.assertHeld(task);
    this.vm().slots.find(gfn)?.gmem?.invalidateLock.assertHeld(task);
    mmuLock.read(task, () => {
      if (this.mapped.has(gfn)) throw new KvmError("EIO", `${gfn} is mapped`);
      this.mapped.set(gfn, pfn);
    });
  }
}

export class FakeSlots implements SlotEditor {
  all: BackedSlot[] = [];

  constructor(readonly vm: () => Vm) {}

  find(gfn: number): BackedSlot | null {
    return this.all.find((slot) => gfn >= slot.gfn && gfn < slot.gfn + slot.pages) ?? null;
  }

  insert({ slot, gpa, size, userAddr }: Pick<GmemRegion, "slot" | "gpa" | "size" | "userAddr">): BackedSlot {
    const made = { slot, gfn: gpa / PAGE, pages: size / PAGE, userAddr, gmem: null, gmemOnly: false, hasGmem: false };
    this.all = [...this.all, made];
    return made;
  }

  remove(slot: BackedSlot): void {
    this.all = this.all.filter((other) => other !== slot);
  }
}

export interface HostOptions {
  readonly lockdep?: LockdepOptions;
  readonly params?: Partial<KvmParams>;
  readonly pages?: number;
}

export interface TestVm extends Vm {
  readonly tables: FakePageTables;
  readonly slots: FakeSlots;
  readonly source: GmemPageSource;
  readonly create: (desc?: Partial<CreateGuestMemfd>) => GuestMemfd;
}

/** A host with one process, and lockdep that throws what it reports. */
export function newHost({ lockdep: options, params: some = {}, pages = PAGES }: HostOptions = {}) {
  const reports: Report[] = [];
  const lockdep = new Lockdep({ onReport: throwReport, ...options });
  const arena = new FrameArena(newMemory(pages + 1), PAGE, (pages + 1) * PAGE);
  const mm = new Mm(lockdep, arena);
  const params = kvmParams(some);
  const task = new Task(lockdep, "vmm");
  const newVm = (hasPrivateMem: boolean): TestVm => {
    const attributes = new AttributeMap(2 ** 28, 0);
    const self = (): TestVm => vm;
    const tables = new FakePageTables(self);
    const vm: TestVm = {
      params,
      mm,
      hasPrivateMem,
      attributes,
      locks: new VmLocks(lockdep),
      target: tables,
      tables,
      slots: new FakeSlots(self),
      source: new GmemPageSource({ params, mm, attributes }),
      create: (desc) => GuestMemfd.create(vm, { size: 8 * PAGE, ...desc }),
    };
    mm.register(new UserMemoryNotifier(vm));
    return vm;
  };
  /** Memslot of all of `gmem` at guest frame 0x100. */
  const bindAll = async (vm: TestVm, gmem: GuestMemfd, over: Partial<GmemRegion> = {}): Promise<BackedSlot> => {
    const region = { slot: 0, gpa: 0x100 * PAGE, size: gmem.size, userAddr: null, gmem, offset: 0, ...over };
    await createRegion(task, vm, vm.slots, region);
    return vm.slots.all.at(-1) as BackedSlot;
  };
  return { reports, lockdep, arena, mm, task, newVm, bindAll };
}

/** The errno that `body` is refused with; "none" if it is not. */
export async function errnoOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (error instanceof KvmError) return error.code;
    throw error;
  }
  return "none";
}
